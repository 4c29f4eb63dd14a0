#!/bin/bash
# What every program keeps to whatever it is started with: closed descriptors, a reader that goes away, a full disk behind
# standard output, something else in the place of a file of the state directory.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
"$build/lab/cluster-view" three-logs client >"$work/client.json"
"$build/lab/cluster-view" three-logs node >"$work/node.json"
echo "paths { state = \"$work/state\" opt = \"$PWD/tests/golden/opt\" }" >"$work/hook.conf"

# Of what changes a machine only `k8s-client stop` runs for real: it has no steps.
# hook ROLE WORD...: sets status and output; never longer than minutes
hook() {
    output=$(timeout 120 "$build/bin/k8s-$1" "${@:2}" --config "$work/hook.conf" --metadata "$work/$1.json" 2>&1)
    status=$?
}

# lost NAME COMMAND...: its output goes where nothing can be written
lost() {
    output=$("${@:2}" 2>&1 >/dev/full)
    status=$?
    result "$1 fails when its output is lost" "$(expect 1 "could not be written")"
}
lost "k8s-hook statuses" "$build/bin/k8s-hook" statuses
lost "k8s-hook template" "$build/bin/k8s-hook" config parameters
lost "facts" "$build/bin/k8s-node" facts --json --config "$work/hook.conf" --metadata "$work/node.json"
lost "k8s-bake show" "$build/bin/k8s-bake" --version
lost "cluster-view" "$build/lab/cluster-view" three-logs node

exec {closed}> >(exec true)
wait $! # nobody reads it any more
"$build/bin/k8s-node" facts --json --config "$work/hook.conf" --metadata "$work/node.json" 2>"$work/log" >&"$closed"
status=$? output=$(cat "$work/log")
exec {closed}>&-
result "a closed pipe is an error, not a signal" "$(expect 1 "could not be written")"

"$build/bin/k8s-client" stop --verbose --config "$work/hook.conf" --metadata "$work/client.json" <&- >&- 2>&-
status=$? output=
result "an event with closed descriptors does its work" "$(expect 0)"
result "and its log is in no file" "$(grep -rl 'k8s-hooks\|level\|info' "$work/state")"
output=$(cat "$work/state/lock") status=0
result "the lock holds its holder alone" "$(expect 0 '`stop` (pid ')$(wc -l <"$work/state/lock" | grep -vx 1)"

# in_place KIND MAKE: something else in the place of each file; every event ends by itself, and stop works
in_place() {
    local file wrong=
    for file in runs.json accepted.json reload.json metadata.json revive.json monitor.json cloud.json lock files-written; do
        rm -rf "$work/state" && mkdir "$work/state" && $2 "$work/state/$file"
        for event in "client stop" "client status" "client check" "client revive --dry-run" "client reload --dry-run" \
            "node start --dry-run" "node render" "node monitor"; do
            # shellcheck disable=SC2086
            hook $event
            [ $status -lt 124 ] || wrong+="$event with $file: status $status: $output"$'\n'
            [ "$event" != "client stop" ] || [ $status = 0 ] || wrong+="stop with $file: $output"$'\n'
        done
    done
    result "$1 in the place of a state file holds nothing up" "$wrong"
}
in_place "a FIFO" mkfifo
in_place "a directory" mkdir
in_place "a link to a FIFO" 'eval mkfifo "$work/fifo" 2>/dev/null; ln -s "$work/fifo"'
rm -rf "$work/state"

for role in hook bake ../client master/../client; do
    jq --arg role "$role" '.host.role = $role' "$work/node.json" >"$work/other.json"
    output=$(timeout 120 "$build/bin/k8s-hook" facts --config "$work/hook.conf" --metadata "$work/other.json" 2>&1)
    status=$?
    result "k8s-hook runs nothing for the role \"$role\"" "$(expect 11 "\"$role\"")"
done
finish
