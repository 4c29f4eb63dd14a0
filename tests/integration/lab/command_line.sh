#!/bin/bash
# The lab's command line, without a lab: help, manual and completion have every verb; what is wrong is refused before
# anything is made.
set -u
lab=${BUILD:-build}/lab/lab
. tests/integration/tap.bash

name=cmdline-$$
output=$(mktemp)
trap 'rm -f "$output"' EXIT

mapfile -t verbs < <("$lab" --help | sed -n 's/^  \([a-z0-9-]*\) .*/\1/p')
result "--help lists the verbs" "$([ ${#verbs[@]} -ge 25 ] || echo "${verbs[*]}")"
result "--help fits a terminal of 80 columns" "$("$lab" --help | grep -E '^.{80}')"
"$lab" help --man >"$output"
result "the manual is well-formed" "$(groff -man -ww -Tutf8 -z "$output" 2>&1)"
result "tests/lab/doc/lab.1 is what \`lab help --man\` prints" "$(diff tests/lab/doc/lab.1 "$output")"
missing=
for verb in "${verbs[@]}"; do
    "$lab" "$verb" --help | grep -q "^Usage: lab .* $verb" || missing+=" $verb: no --help"
    grep -q "^.B lab ${verb//-/\\\\-}" "$output" || missing+=" $verb: not in the manual"
done
result "--help of each verb, and the manual, have it" "$missing"

completed() { # WORD...: the last one is completed
    . tests/lab/doc/lab.bash
    COMP_WORDS=("$lab" "$@") COMP_CWORD=$#
    _k8s_lab "$lab"
    printf '%s\n' "${COMPREPLY[@]}"
}
result "completion has verbs" "$(diff <(completed del) <(printf 'delete\ndelete-cluster\n'))"
result "completion has parameters" "$(diff <(completed set max) <(echo max_pods))"
result "completion has roles" "$(diff <(completed --name "$name" add ss) <(echo ssd_node=))"
result "completion has options, without their \"=\"" "$(diff <(completed health --) <(printf -- '--interval\n--rounds\n'))"
result "completion has files" "$(diff <(completed create --values tests/lab/doc/lab.b) <(echo tests/lab/doc/lab.bash))"
result "completion has faults" "$(diff <(completed fault metadata-d) <(echo metadata-down))"

# refused WORDS MESSAGE [VARIABLE=VALUE]: status 2, the message, the way on, and nothing is left
refused() {
    local status words
    read -r -a words <<<"$1"
    env "${@:3}" "$lab" --name "$name" "${words[@]}" >"$output" 2>&1
    status=$?
    if [ $status != 2 ] || ! grep -qF -- "$2" "$output" || [ -e "/var/tmp/k8s-lab-$name" ] || [ -e "/run/netns/k8s-lab-$name" ]; then
        result "lab $1: $2" "status $status: $(cat "$output")"
    else
        result "lab $1: $2" ""
    fi
}
refused "create node=1 client=1" "Count (cluster.master.count): must be one of: 1"
refused "create master=1 node=101 client=1" "'node=101' is not ROLE=N"
refused "create master=1 log=1 client=1" "Count (cluster.log.count): must be one of: 0, 2, 3, 4, 5"
refused "create database=1" "ROLE one of: master node ssd_node log client"
refused "create --set env.max_pods=61" "must be one of: 60, 80, 100"
refused "create --set max_pods=many" "must be an integer"
refused "create --set env.docker_bip=172.30.0.1" "does not match"
refused "create --set env.none=1" "not a parameter of the app"
refused "create --set max_pods=61" "必须是以下值之一" LANG=zh_CN.UTF-8
refused "create --values /nonexistent.json" "No such file"
refused "status" "there is no lab $name: \`lab create\` makes one"
refused "set max_pods 80" "there is no lab $name"
refused "exec node-1 true" "there is no lab $name"
refused "frob" "no verb 'frob'"
refused "status --frob" "'--frob' is not an option of lab status"
refused "create client=1 node=1 --set max_pods=61 master=1" "must be one of: 60, 80, 100"
refused "create master=1 client=1 --package /nonexistent" "--package /nonexistent: No such file"
refused "create --values" "--values requires a value"
refused "report --from /nonexistent" "/nonexistent: No such file"
refused "report --from tests/integration/lab/report.py /nonexistent/report.html" "writing into /nonexistent: No such file"
refused "down now" "one argument too many"
echo '{"env": {"keep_log_days": 99}}' >"$output.json"
refused "create --values $output.json" "must be at most 30"
echo '{"env": ' >"$output.json"
refused "create --values $output.json" "$output.json:2: unexpected token"
rm -f "$output.json"

# Scenarios in a checkout of their own: the program looks for them from where it stands.
whole=$lab checkout=$(mktemp -d)
trap 'rm -rf "$output" "$checkout"' EXIT
mkdir -p "$checkout"/build/lab "$checkout"/tests/e2e/{good,one-log,no-client,pods}
cp "$lab" "$checkout/build/lab/lab"
ln -s "$PWD/templates" "$checkout/templates"
for scenario in good one-log no-client pods; do
    echo create >"$checkout/tests/e2e/$scenario/scenario"
done
echo '{"counts": {"master": 1, "node": 1, "log": 2, "client": 1}, "env": {}}' >"$checkout/tests/e2e/good/values.json"
echo '{"counts": {"master": 1, "node": 1, "log": 1, "client": 1}, "env": {}}' >"$checkout/tests/e2e/one-log/values.json"
echo '{"counts": {"master": 1, "node": 1}, "env": {}}' >"$checkout/tests/e2e/no-client/values.json"
echo '{"counts": {"master": 1, "client": 1}, "env": {"max_pods": "61"}}' >"$checkout/tests/e2e/pods/values.json"
lab=$checkout/build/lab/lab
refused "e2e good one-log" "tests/e2e/one-log/values.json: Count (cluster.log.count): must be one of: 0, 2, 3, 4, 5"
refused "e2e good no-client" "tests/e2e/no-client/values.json: Count (cluster.client.count): must be one of: 1"
refused "e2e pods" "tests/e2e/pods/values.json: Pods per node (env.max_pods): must be one of: 60, 80, 100"
refused "e2e" "values.json: "
lab=$whole

"$lab" --name "$name" status >"$output" 2>&1
result "a refused verb says what to do next" "$(grep -qF "next: lab --name $name create" "$output" || cat "$output")"
"$lab" --name "$name" down >"$output" 2>&1
result "down without a lab is no error" "$(cat "$output")"

if [ "$(id -u)" = 0 ]; then
    setpriv --bounding-set=-net_admin,-sys_ptrace "$lab" --name "$name" create >"$output" 2>&1
    result "without a capability it says which" \
        "$(grep -qF 'CAP_NET_ADMIN, for the lab' "$output" && grep -qF CAP_SYS_PTRACE "$output" || cat "$output")"
    result "and makes nothing" "$(ls -d "/var/tmp/k8s-lab-$name" 2>/dev/null)"
fi
finish
