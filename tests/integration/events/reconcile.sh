#!/bin/bash
# What the timer runs: nothing where nothing differs, and what `reload` would do where something does.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "paths { opt = \"$PWD/tests/golden/opt\" }" >"$work/hook.conf"
root=$work/root
hosts=$root/etc/hosts
mkdir -p "$root"
"$build/lab/cluster-view" ssd-nodes client >"$work/metadata.json"

# hook EVENT OPTION...: $status, $output
hook() {
    output=$("$build/bin/k8s-client" "$@" --root "$root" --config "$work/hook.conf" --metadata "$work/metadata.json" 2>&1)
    status=$?
}

# runs: event, status and result of each step of the runs that are recorded
runs() {
    hook status --json
    jq --raw-output '.[] | "\(.event) \(.status) \(.steps | map(.result) | join(" "))"' <<<"$output"
}

hook reconcile
result "does nothing before init" "$(expect 0)$([ ! -e "$hosts" ] || echo "$hosts is there")"
hook render
touch "$root/var/lib/k8s-hooks/files-written"
hook reconcile # accepts the parameters
hook reconcile
accepted=$(printf 'reconcile 0 %s\n' "done" applied "done")
result "does nothing where nothing differs" "$(expect 0)$(diff <(echo "$accepted") <(runs))"
hook reconcile
hook reconcile
result "runs in a row that had nothing to do leave one record" "$(diff <(echo "$accepted") <(runs))"

echo "by hand" >"$hosts"
hook reconcile --dry-run
result "a dry run prints what it would do" "$(expect 0 "would run" "-by hand")$(grep -v "by hand" "$hosts")"
hook reconcile
result "writes a file that differs" "$(expect 0)$(! grep "by hand" "$hosts")"
result "and records that it did" "$(diff <(printf '%s\n' "$accepted" "reconcile 0 applied") <(runs))"

rm "$hosts"
mkdir "$hosts"
hook reconcile
result "fails where a file cannot be written" "$([ "$status" != 0 ] || echo "status 0")"
rmdir "$hosts"
hook reconcile
result "the next run does what failed before" "$(expect 0)$([ -s "$hosts" ] || echo "$hosts is not there")"
hook reconcile
result "the failure and the repair are recorded" \
    "$(diff <(printf 'reconcile %s\n' "0 applied" "15 failed" "0 applied" "0 done") <(runs | tail -n 4))"
finish
