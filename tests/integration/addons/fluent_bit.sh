#!/bin/bash
# What Fluent Bit is given: no application's line keeps another's out of the index, nothing is tried for ever, and pods that
# log a secret are not read.
set -uo pipefail
. tests/integration/tap.bash
. tests/integration/files/rendered.bash
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
render hostnic master "$work/hostnic"
render es-server master "$work/es-server"
addons=data/kubernetes/hooks/addons
python3 - "$work/hostnic/$addons/fluent-bit.yaml" "$work" <<'PYTHON'
import sys, yaml
for document in yaml.safe_load_all(open(sys.argv[1], encoding="utf-8")):
    if document["kind"] == "ConfigMap":
        for name, text in document["data"].items():
            with open(f"{sys.argv[2]}/{name}", "w", encoding="utf-8") as f:
                f.write(text)
PYTHON

# setting SECTION PLUGIN KEY: its values in the configuration
setting() {
    awk -v section="[$1]" -v name="$2" -v key="$3" '$1 ~ /^\[/ {inside = $1 == section; plugin = ""}
        inside && $1 == "Name" {plugin = $2} inside && plugin == name && tolower($1) == tolower(key) {print $2}' \
        "${4:-$work/fluent-bit.conf}"
}

# every pod of hostnic's, as the kubelet names the link to its log: POD_NAMESPACE_CONTAINER-ID.log
python3 - "$work/hostnic/$addons/hostnic.yaml" >"$work/logs" <<'PYTHON'
import sys, yaml
suffix = {"DaemonSet": "-x7k2p", "Deployment": "-5d8f9c7b6d-x7k2p", "StatefulSet": "-0"}
for document in yaml.safe_load_all(open(sys.argv[1], encoding="utf-8")):
    if document and document["kind"] in suffix:
        pod = document["spec"]["template"]["spec"]
        for container in pod["containers"] + pod.get("initContainers", []):
            print("/var/log/containers/%s%s_%s_%s-%064d.log" % (document["metadata"]["name"], suffix[document["kind"]],
                  document["metadata"]["namespace"], container["name"], 0))
PYTHON
# excluded PATH
excluded() {
    local pattern
    while read -r pattern; do
        # shellcheck disable=SC2053
        [[ $1 != $pattern ]] || return 0
    done < <(setting INPUT tail Exclude_Path | tr , '\n')
    return 1
}
result "hostnic has pods" "$(grep --quiet hostnic-node "$work/logs" || cat "$work/logs")"
result "no log of a pod of hostnic's is read: it holds the API key" "$(while read -r log; do
    excluded "$log" || echo "$log is read"
done <"$work/logs")"
result "logs of others are read" "$(for log in web-0_default_hostnic coredns-x_kube-system_coredns hostnic-x_default_a; do
    ! excluded "/var/log/containers/$log-$(printf %064d 0).log" || echo "$log is not read"
done)"

result "no output retries for ever" "$(for plugin in es forward; do
    setting OUTPUT $plugin Retry_Limit <(sed 's/^    //' "$work/es-server/$addons/fluent-bit.yaml") |
        grep --quiet --line-regexp '[1-9][0-9]*' || echo "$plugin has no limit"
done)"
result "lines from before its start are read, once" "$(setting INPUT tail Read_from_Head | grep --quiet On || echo "from the end"
    setting INPUT tail DB | grep --quiet ^/fluent-bit/state/ || echo "no record of what was read")"
result "lines that Docker splits are joined" "$(setting INPUT tail Docker_Mode | grep --quiet On || echo "they are not")"
result "waiting records are on the disk" "$(for plugin in tail systemd forward; do
    setting INPUT $plugin storage.type | grep --quiet filesystem || echo "$plugin keeps it in memory"
done)"
result "a large pod's description is read whole" "$(diff <(echo 0) <(setting FILTER kubernetes Buffer_Size))"
result "applications' fields have a place of their own" "$(diff <(echo log_processed) <(setting FILTER kubernetes Merge_Log_Key))"

luajit tests/integration/addons/fluent_bit.lua "$work/fields.lua" >"$work/flat" 2>&1
long=$(printf 'n%.0s' {1..128})
result "and become flat there" "$(diff <(cat <<EXPECTED
text: 0
flat: 2 {code=3 level="info" ok=false} nil
nested: 2 {a_b=1 level_code=3 level_deep_er="x"} nil
list: 2 {of_x={"1" "two"} tags={"a" "b"}} nil
huge: 2 {small=1} line
empty: 2 nil line
names: 2 {_=1 a_=3 $long=4} nil
many: 2 {key1=1} line
others: 2 {another=3} nil
forwarded: 2 {log_processed={@timestamp="x" kubernetes="mine" log_a=1} tag="app.x"}
EXPECTED
) "$work/flat")"
finish
