#!/bin/bash
# reload refuses a change that may not be, before any file has it.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
"$build/lab/cluster-view" hostnic node >"$work/hostnic.json"

# given VXNETS [JQ]: metadata with these pod vxnets, hostnic off so that no cloud API is asked
given() {
    jq --arg vxnets "$1" '.env.enable_hostnic = "false" | .env.pod_vxnets = $vxnets | '"${2:-.}" "$work/hostnic.json" \
        >"$work/metadata.json"
}

# reload STATUS: what it logs is in $work/log; prints a complaint when the status is another
reload() {
    "$build/bin/k8s-node" reload --root "$root" --metadata "$work/metadata.json" "${@:2}" >"$work/log" 2>&1
    local status=$?
    [ "$status" = "$1" ] || { echo "status $status instead of $1" && cat "$work/log"; }
}

tree() {
    find "$root" -type f ! -name lock ! -name reload-owed.json -exec md5sum {} + | sort -k2
}

given "vxnet-pods01 vxnet-pods02"
"$build/bin/k8s-node" render --root "$root" --metadata "$work/metadata.json" >/dev/null 2>&1
mkdir -p "$root/var/lib/k8s-hooks"
touch "$root/var/lib/k8s-hooks/files-written" # what init leaves
result "pod vxnets are accepted at first" "$(reload 0)"
result "and again" "$(reload 0)"

given "vxnet-pods02" '.env."registry-mirrors" = "https://other.example.com"'
before=$(tree)
result "a dry run reports that a pod vxnet must not be removed" "$(reload 117 --dry-run)"
result "removing a pod vxnet is refused: status 117" "$(reload 117)"
result "the message names it" "$(grep -q 'no longer holds vxnet-pods01' "$work/log" || cat "$work/log")"
result "no file is changed" "$(diff <(echo "$before") <(tree))"
owed=$root/data/kubernetes/hooks/reload-owed.json
result "but that a reload is owed" "$(jq -e '.status == 117 and .since > 0 and (.message | contains("vxnet-pods01"))' "$owed" 2>&1 |
    grep -vx true)"

given "vxnet-pods03 vxnet-pods02 vxnet-pods01"
result "one more is accepted" "$(reload 0)"
result "and no reload is owed any more" "$([ ! -e "$owed" ] || cat "$owed")"
given "vxnet-pods01 vxnet-pods02"
result "removing the added one is refused too" "$(reload 117)"
finish
