#!/bin/bash
# check, monitor and tab on a machine that is not a node: every check has its line, nothing waits for a metadata server that
# does not answer, and what is printed is what AppCenter reads.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/state"
# Nobody listens at port 1; a request to it may take ten minutes all the same, as may all tries together.
cat >"$work/hook.conf" <<EOF
metadata { servers = {"http://127.0.0.1:1"} timeout-ms = 600000 deadline-ms = 600000 }
paths { data = "$work" state = "$work/state" }
EOF

# hook ROLE STATUS ARGUMENT...: its output is in $work/out, what it says in $work/log; a complaint when the status is another
hook() {
    local role=$1 expected=$2 status
    shift 2
    timeout 300 "$build/bin/k8s-$role" --config "$work/hook.conf" "$@" >"$work/out" 2>"$work/log"
    status=$?
    [ "$status" = "$expected" ] || { echo "status $status instead of $expected" && cat "$work/log"; }
}

# cached ROLE: this host is a ROLE, and nobody answers but the cache
cached() {
    "$build/lab/cluster-view" three-logs "$1" >"$work/state/metadata.json"
    chmod 600 "$work/state/metadata.json"
}

# filter PROGRAM: passes when jq says true of the output
filter() {
    [ "$(jq "$1" "$work/out" 2>&1)" = true ] || { echo "not so of:" && cat "$work/out"; }
}

# a check of this script's own: an empty answer passes for nothing
: >"$work/out"
result "an empty answer fails the test of JSON" "$([ -n "$(filter 'true')" ] || echo "it passes")"

for role in master node log client; do
    cached "$role"
    result "$role: check uses the cached metadata" "$(hook "$role" 24 check)"
    result "$role: each line has verdict, name and reason" \
        "$(grep -vE '^(ok   |warns|fails) [a-z-]+: .+' "$work/out")$([ -s "$work/out" ] || echo "no lines")"
    cp "$work/out" "$work/lines"
    result "$role: check --json" "$(hook "$role" 24 check --json)"
    result "$role: --json has the same checks in the same order" "$(diff <(awk '{sub(":$", "", $2); print $2}' "$work/lines") \
        <(jq --raw-output '.checks[].name' "$work/out"))"
    result "$role: and is unhealthy" "$(filter '.healthy == false and any(.checks[]; .result == "fails" and .remedy != null)')"
    result "$role: monitor prints integers and leaves out what cannot be read" "$(hook "$role" 0 monitor)"
    result "$role: one object of them" "$(filter 'type == "object" and all(.[]; type == "number" and floor == .)')"
done

cached log
result "a log node's Elasticsearch is checked" "$(hook log 24 check --json)$(filter 'any(.checks[]; .name == "elasticsearch")')"
sed -i '$a addons { skip = {"elasticsearch"} }' "$work/hook.conf"
result "and is fine where the image has none" "$(hook log 24 check --json)$(
    filter 'any(.checks[]; .name == "elasticsearch" and .result == "ok")'
)"

cached node
result "revive --dry-run prints what it would heal" "$(hook node 0 revive --dry-run)$(grep -q '^would heal docker: ' "$work/out" ||
    { echo "it says:" && cat "$work/out"; })"
result "and notes no try" "$([ ! -e "$work/state/revive.json" ] || cat "$work/state/revive.json")"

root=$work/root
mkdir -p "$root/etc/kubernetes/pki"
openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out "$root/etc/kubernetes/pki/ca.crt" -days 5 -subj /CN=kubernetes \
    2>/dev/null
"$build/lab/cluster-view" three-logs master >"$work/master.json"
result "tab certificates" "$(hook master 0 tab certificates --root "$root" --metadata "$work/master.json")"
result "it is a table AppCenter takes" "$(filter '(.labels | length) == (.data[0] | length) and .data[0][1] == "kubernetes"')"
result "tab kubeconfig where there is none" "$(hook master 15 tab kubeconfig --root "$root" --metadata "$work/master.json")"
kubeconfig=$root/etc/kubernetes/admin.conf
jq --null-input '{apiVersion: "v1", kind: "Config", "current-context": "a", contexts: [{name: "a", context: {cluster: "a", user: "a"}}],
    clusters: [{name: "a", cluster: {server: "https://192.168.0.2:6443"}}], users: [{name: "a", user: {}}]}' >"$kubeconfig"
addons=$root$work/state/addons
mkdir -p "$addons"
dashboard() {
    hook master 0 tab kubeconfig --root "$root" --metadata "$work/master.json"
    jq --raw-output '.data[] | select(.[0] == "Dashboard")[1]' "$work/out"
}
client=$(jq --raw-output 'first(.hosts.client[]).ip' "$work/master.json")
is "$(dashboard)" "" "tab kubeconfig has no dashboard while the add-on is off"
touch "$addons/dashboard.yaml"
is "$(dashboard)" "run k8s-dashboard on the client ($client)" "and names its command once it is on"
result "an unknown tab" "$(hook master 2 tab pods --metadata "$work/master.json")"
finish
