#!/bin/bash
# takes: 90
# Ctrl-C in `lab demo`, while machines boot and while an event runs: it removes everything it made. After kill -9 `lab down`
# does, also of what the lab had no time to write down, and of an event that goes on; the next `lab up` is as good as the first,
# and `lab down` ends also the faults there are, with who waits for their end.
set -um # jobs have a process group each, which Ctrl-C goes to, and do not ignore it
lab="${BUILD:-build}/lab/lab --name interrupt"
output=$(mktemp)
trap '$lab down >/dev/null 2>&1; rm -f "$output"' EXIT

# what is the lab's own wherever a lab puts anything: namespaces, mounts (also in the namespace of who is left in one), control
# groups, processes, loop devices, links, rules, files
rules() {
    {
        iptables-save
        [ ! -x /usr/sbin/nft ] || nft list ruleset
    } 2>/dev/null | grep -F 192.168.100. | sort
}
rules=$(rules)

there() {
    ip netns list | grep -w k8s-lab-interrupt
    grep -s 'k8s-lab-interrupt' /proc/[0-9]*/mountinfo
    ls -d /sys/fs/cgroup/{,*/}k8s-lab-interrupt-* 2>/dev/null
    pgrep -af -- '--machine=interrupt-|/k8s-lab-interrupt/|--name interrupt '
    losetup -a | grep -w k8s-lab-interrupt
    ip -o link | grep -w vb-interrupt
    comm -13 <(echo "$rules") <(rules)
    find /run /tmp /var/tmp -xdev -maxdepth 4 -regextype posix-extended \
        \( -name '*k8s-lab-interrupt*' -o -regex '.*/interrupt-(master|node|ssd-node|log|client)-[0-9]+' \) 2>/dev/null
}

# What is there still: the kernel may have something to end after the lab, which a loaded machine does later.
left() {
    local found
    for _ in $(seq 60); do
        found=$(there)
        [ -n "$found" ] || return 0
        sleep 1
    done
    echo "$found"
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
timeout 300 sh -c 'until pgrep -f -- --machine=interrupt-client-1 >/dev/null; do :; done'
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

# the event goes on in the machine, which no program waits for any more
kill_in_event() {
    $lab event master-1 init &
    local event=$!
    timeout 300 sh -c "until $lab status | grep '^master-1 .* init, '; do :; done"
    kill -KILL $event
    wait $event
    $lab status | grep '^master-1 .* init: killed' && $lab exec master-1 pgrep -f 'k8s-master init'
}

number=$((number + 1))
if $lab up --set es_server=192.168.100.1:9200 master=1 client=1 >"$output" 2>&1 && kill_in_event >>"$output" 2>&1 &&
    $lab fault disk-full master-1 --for 900 >>"$output" 2>&1 &&
    $lab fault cut client-1 --for 900 >>"$output" 2>&1 && $lab fault cloud-slow --for 900 >>"$output" 2>&1 &&
    timeout 300 sh -c 'until [ "$(pgrep -fc -- "--name interrupt fault kee[p]")" = 3 ]; do sleep 0.2; done' &&
    $lab down >>"$output" 2>&1 && left=$(left | head -4) && [ -z "$left" ]; then
    echo "ok $number - the next up, kill -9 while an event runs, and down with faults"
else
    sed 's/^/# /' "$output"
    echo "not ok $number - the next up, kill -9 while an event runs, and down with faults, left: $left"
fi
echo "1..$number"
