#!/bin/bash
# A parameter that is refused stops what would change the cluster, and not the orderly way down.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

"$build/lab/cluster-view" es-server node >"$work/self.json"
jq '{data: {c: .}, mapping: {"127.0.0.1": {self: "/c"}}} | .mapping."127.0.0.1" = {cluster: "/c/cluster", env: "/c/env",
    host: "/c/host", hosts: "/c/hosts"}' "$work/self.json" >"$work/data.json"
mkfifo "$work/places"
"$build/lab/metad" --listen 127.0.0.1:0 --manage 127.0.0.1:0 --data "$work/data.json" >"$work/places" &
server=$!
read -r places <"$work/places"
port=$(sed 's/metadata on 127.0.0.1:\([0-9]*\),.*/\1/' <<<"$places")
manage=$(sed 's/.*management on 127.0.0.1:\([0-9]*\).*/\1/' <<<"$places")
cat >"$work/hook.conf" <<CONF
metadata { servers = {"http://127.0.0.1:$port"} }
paths { state = "$work/state" opt = "$PWD/tests/golden/opt" }
CONF

# node STATUS EVENT...: a complaint when the status is another; what it logs is in $work/log
node() {
    "$build/bin/k8s-node" "${@:2}" --config "$work/hook.conf" >"$work/log" 2>&1
    local status=$?
    [ "$status" = "$1" ] || { echo "status $status instead of $1" && cat "$work/log"; }
}

result "good metadata is accepted" "$(node 0 facts)"

# waits_for_lock: `reload` in the background, which waits for the event that this shell plays; its pid is in $event
waits_for_lock() {
    "$build/bin/k8s-node" reload --root "$work/root" --config "$work/hook.conf" >"$work/log" 2>&1 9>&- &
    event=$!
    timeout 300 grep -q 'waiting for another event on this host: `start`' <(exec 9>&- && tail -f --pid=$event "$work/log")
}
mkdir -p "$work/root$work/state"
exec 9<"$work/root$work/state"
flock 9 && echo '`start` (pid 1)' >"$work/root$work/state/lock"
waits_for_lock
kill "$event"
wait "$event"
result "an event that waits for another can be ended" "$(status=$?; [ $status = 19 ] || { echo "status $status" && cat "$work/log"; })"
waits_for_lock
curl --silent --fail -X PUT --data '{"es_server": ""}' "http://127.0.0.1:$manage/v1/data/c/env" >/dev/null
exec 9<&-
wait "$event"
result "a parameter set while it waited is used" "$(status=$?; [ $status = 101 ] || { echo "status $status" && cat "$work/log"; })"
result "facts are refused: status 101" "$(node 101 facts)"
result "and so is a start" "$(node 101 start --dry-run)"
result "stop uses the metadata that was accepted last" "$(node 0 stop --dry-run)"
result "and logs why" "$(grep -q 'accepted last: .*es_server' <(tr '\n' ' ' <"$work/log") || cat "$work/log")"
result "restart too" "$(node 0 restart --dry-run)"
rm "$work/state/metadata.json"
result "with nothing accepted yet, stop is refused too" "$(node 101 stop --dry-run)"
finish
