#!/bin/sh
# timers.sh reconcile: systemd starts it within six minutes, which are five and up to one at random. timers.sh prune-logs: it
# starts it between 00:30 and 01:30 UTC, within a day. timers.sh ran: the timer of reconcile has started a run, and the last run
# was good. Prints what systemd has where it is not so.
timer=k8s-$1.timer
[ "$1" != ran ] || timer=k8s-reconcile.timer
has=$(systemctl list-timers --all --output=json "$timer")
# microseconds since 1970
next=$(echo "$has" | grep -o '"next":[0-9]*' | cut -d : -f 2)
last=$(echo "$has" | grep -o '"last":[0-9]*' | cut -d : -f 2)
now=$(date +%s)
next=$((${next:-0} / 1000000))
result=$(systemctl show -P Result k8s-reconcile.service)
case $1 in
reconcile)
    [ "$next" -ge "$now" ] && [ "$next" -le $((now + 361)) ]
    ;;
prune-logs)
    minute=$(date -u -d "@$next" +%H%M)
    [ "$next" -ge "$now" ] && [ "$next" -le $((now + 90000)) ] && [ "$minute" -ge 0030 ] && [ "$minute" -le 0130 ]
    ;;
ran)
    [ "${last:-0}" -gt 0 ] && [ "$result" = success ]
    ;;
esac || {
    echo "now $now, last result $result, $has"
    exit 1
}
