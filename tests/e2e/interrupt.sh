#!/bin/bash
# takes: 75
# Ctrl-C in `lab demo`, while machines boot and while an event runs: it removes everything it made. After kill -9 `lab down`
# does, also of what the lab had no time to write down.
set -um # jobs have a process group each, which Ctrl-C goes to, and do not ignore it
lab="${BUILD:-build}/lab/lab --name interrupt"
output=$(mktemp)
trap '$lab down >/dev/null 2>&1; rm -f "$output"' EXIT

left() {
    ip netns list | grep -w k8s-lab-interrupt
    grep -o '/var/tmp/k8s-lab-interrupt[^ ]*' /proc/mounts
    ls -d /var/tmp/k8s-lab-interrupt /sys/fs/cgroup/{,*/}k8s-lab-interrupt-* 2>/dev/null
    pgrep -f -- '--machine=interrupt-|/k8s-lab-interrupt/|--name interrupt '
    losetup -a | grep -w k8s-lab-interrupt
    ip -o link | grep -w vb-interrupt
}

number=0
for moment in 'booting 5 machines' 'master-1: init'; do
    $lab demo >"$output" 2>&1 &
    demo=$!
    timeout 900 grep -qF -- "... $moment" <(tail -f --pid=$demo "$output")
    sleep 1
    kill -INT -- -$demo
    wait $demo
    status=$?
    left=$(left | head -4)
    number=$((number + 1))
    if [ $status = 19 ] && [ -z "$left" ]; then
        echo "ok $number - Ctrl-C at \"$moment\""
    else
        sed 's/^/# /' "$output"
        echo "not ok $number - Ctrl-C at \"$moment\": status $status, left: $left"
    fi
done

# nothing of the machines is in the state yet, nor of the servers
$lab up master=1 client=1 >"$output" 2>&1 &
up=$!
timeout 900 grep -qF -- '... booting 2 machines' <(tail -f --pid=$up "$output")
timeout 60 sh -c 'until pgrep -f -- --machine=interrupt-client-1 >/dev/null; do :; done'
kill -KILL $up
wait $up
number=$((number + 1))
again=$($lab up master=1 client=1 2>&1)
if [[ $again == *"there already"*"lab down"* ]] && $lab down >"$output" 2>&1 && left=$(left | head -4) && [ -z "$left" ]; then
    echo "ok $number - kill -9 while machines boot, and down"
else
    sed 's/^/# /' "$output"
    echo "not ok $number - kill -9 while machines boot, and down: $again; left: $left"
fi
echo "1..$number"
