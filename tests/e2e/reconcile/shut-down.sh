#!/bin/sh
# A run that is at work when the machine shuts down: systemd ends its timer and it, and it ends by itself at SIGTERM.
for unit in k8s-reconcile.timer k8s-reconcile.service; do
    for property in Conflicts Before; do
        systemctl show -P $property $unit | grep -qw shutdown.target || { echo "$unit: no $property shutdown.target"; exit 1; }
    done
done
# another event holds the lock, for which the run waits
flock --no-fork /data/kubernetes/hooks sleep 1000 >/dev/null 2>&1 &
trap 'kill $!' EXIT
began=$(date +%s)
# more than once, where the timer's own run has the lock first and ends
until journalctl -q --since "@$began" -t k8s-hooks -o cat | grep 'waiting for another event'; do
    systemctl start --no-block k8s-reconcile.service
    sleep 0.2
done
systemctl stop k8s-reconcile.service
# code 1: it exited, with this status; 2: a signal killed it
systemctl show -P ExecMainCode -P ExecMainStatus k8s-reconcile.service | tr '\n' ' '
systemctl reset-failed k8s-reconcile.service
