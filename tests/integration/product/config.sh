#!/bin/bash
# `k8s-hook config`: what a user's parameters are told before any machine has them.
set -u
hook=${BUILD:-build}/bin/k8s-hook
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
base=tests/golden/clusters/hostnic/metadata.json
n=0

# expect STATUS NAME COMMAND...: output goes to $work/out and $work/err
expect() {
    local wanted=$1 name=$2 status
    shift 2
    n=$((n + 1))
    "$@" >"$work/out" 2>"$work/err"
    status=$?
    if [ "$status" = "$wanted" ]; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name: status $status instead of $wanted"
        sed 's/^/# /' "$work/out" "$work/err"
    fi
}

# prints NAME FILE TEXT
prints() {
    n=$((n + 1))
    if grep -qF -- "$3" "$work/$2"; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1: \"$3\" is not in it"
        sed 's/^/# /' "$work/$2"
    fi
}

for cluster in tests/golden/clusters/*/; do
    name=$(basename "$cluster")
    [ "$name" = hundred-nodes ] && continue # its hosts are generated
    expect 0 "the parameters of $name are acceptable" "$hook" config check --metadata "$cluster/metadata.json"
done

jq '.env += {"max_pods": "61", "es_server": "es", "docker_bip": "a\nb", "secret_access_key": "not to be seen"}' $base >"$work/bad.json"
expect 13 "several wrong values are one refusal" "$hook" config check --metadata "$work/bad.json"
prints "it names a value and what is accepted" err 'max_pods "61": 60, 80, 100, 120, 150, 180 or 240'
prints "it names the next one too" err 'es_server "es": empty or host:port'
prints "a value with a newline stays on its line" err 'docker_bip "a\nb": '
prints "a secret is named without its value" err 'secret_access_key: 40 letters and digits'
n=$((n + 1))
if grep -q 'not to be seen' "$work/err" "$work/out"; then echo "not ok $n - a secret is shown"; else echo "ok $n - no secret is shown"; fi

jq 'del(.hosts.log)' $base >"$work/no-log.json"
expect 101 "a cluster without a place for logs has its own status" "$hook" config check --metadata "$work/no-log.json"
jq '.env.pod_vxnets += " " + .cluster.vxnet' $base >"$work/cluster-vxnet.json"
expect 116 "the cluster vxnet among the pod vxnets has its own status" "$hook" config check --metadata "$work/cluster-vxnet.json"
jq '.env.pod_vxnets = "vxnet-pods01"' $base >"$work/fewer.json"
expect 117 "a removed vxnet has its own status" "$hook" config check --metadata "$work/fewer.json" --previous $base
expect 0 "an added vxnet is accepted" "$hook" config check --metadata $base --previous "$work/fewer.json"
jq '.env.pod_vxnets = ""' $base >"$work/none.json"
expect 0 "hostnic without pod vxnets is accepted" "$hook" config check --metadata "$work/none.json"
prints "with a warning" out 'warning: pod_vxnets is empty'

head -c 300 $base >"$work/half.json"
expect 11 "half a JSON is refused" "$hook" config check --metadata "$work/half.json"
expect 2 "check without metadata is a wrong command line" "$hook" config check
expect 2 "an unknown verb is a wrong command line" "$hook" config frobnicate
printf 'paths { nonsense = 1 }\n' >"$work/hook.conf"
expect 3 "an unknown key in hook.conf is refused" "$hook" config show --config "$work/hook.conf"
prints "with file and line" err "$work/hook.conf:1"

printf 'timeouts { drain-s = 77 }\n' >"$work/hook.conf"
expect 0 "settings can be shown" "$hook" config show --config "$work/hook.conf"
prints "one of the file" out 'drain-s = 77'
expect 0 "what show prints" cp "$work/out" "$work/shown.conf"
expect 0 "is a configuration file again" "$hook" config show --config "$work/shown.conf"
expect 0 "and says the same" diff "$work/shown.conf" "$work/out"
expect 0 "every parameter can be listed" "$hook" config parameters --json
expect 0 "as JSON" jq -e 'length == 19' "$work/out"
echo "1..$n"
