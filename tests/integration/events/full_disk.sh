#!/bin/bash
# With /data full, read-only or empty and read-only, events still lock each other out and still run: that is when they are
# needed. `k8s-client stop` stands for them, since it has no steps of its own.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
if [ "${1:-}" != inside ]; then
    exec unshare --mount --propagation private "$0" inside
fi
work=$(mktemp -d)
trap 'umount "$work/data" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/data"
mount -t tmpfs -o size=256k,mode=755 tmpfs "$work/data"
"$build/lab/cluster-view" three-logs client >"$work/client.json"
state=$work/data/kubernetes/hooks
echo "paths { state = \"$state\" opt = \"$PWD/tests/golden/opt\" }" >"$work/hook.conf"

stop() {
    output=$(timeout 120 "$build/bin/k8s-client" stop --config "$work/hook.conf" --metadata "$work/client.json" 2>&1)
    status=$?
}

# waits_and_ends: what another event locks is waited for, which a signal ends
waits_and_ends() {
    exec 9<"$1"
    flock 9
    "$build/bin/k8s-client" stop --config "$work/hook.conf" --metadata "$work/client.json" 2>"$work/log" 9<&- &
    local event=$!
    timeout 120 sh -c "until grep -q 'waiting for another event' '$work/log'; do sleep 0.1; done" || cat "$work/log"
    kill $event
    wait $event
    status=$? output=$(cat "$work/log")
    exec 9<&-
    expect 19
}

mount -o remount,ro "$work/data"
stop
result "read-only, and no event ran before" "$(expect 0)"
result "read-only, and no event ran before: another one is waited for" "$(waits_and_ends "$work/data")"
mount -o remount,rw "$work/data"
stop
result "writable" "$(expect 0)"
mount -o remount,ro "$work/data"
stop
result "read-only" "$(expect 0)"
result "read-only: another one is waited for" "$(waits_and_ends "$state")"
mount -o remount,rw "$work/data"
dd if=/dev/zero of="$work/data/fill" bs=1k 2>/dev/null
stop
result "full" "$(expect 0 "No space left")"
rm -r "$work/data/kubernetes"
dd if=/dev/zero of="$work/data/fill" bs=1k 2>/dev/null
stop
result "full, and no event ran before" "$(expect 0)"
finish
