#!/bin/bash
# The agent's resource: what it renders changes when something that the hooks depend on changes, and not otherwise.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
resource=confd/conf.d/k8s-hooks.toml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# value KEY: a string of the resource
value() {
    sed -n "s/^$1 = \"\(.*\)\"$/\1/p" $resource
}

read -r reload event <<<"$(value reload_cmd)"
result "a change runs an event the hooks have" \
    "$([ "$reload" = /opt/kubernetes/bin/k8s-hook ] && grep -qE "^ +$event( |$)" <<<"$("$build/bin/k8s-master" --help)" || echo "$reload $event")"
result "rendered files hold secrets, and only root can read them" "$([ "$(value mode)" = 0600 ] || value mode)"

template=confd/templates/$(value src)
agent=$build/lab/agent
if [ ! -x "$agent" ]; then
    skipped "the template in Go's own language" "no go"
    finish
    exit
fi

render_everywhere() {
    local cluster role
    for cluster in tests/golden/clusters/*/; do
        for role in master node ssd_node log client; do
            "$build/lab/cluster-view" "$(basename "$cluster")" $role >"$work/view.json" 2>/dev/null || continue
            "$agent" -metadata "$work/view.json" $template >"$work/out" || echo "$cluster $role"
            grep -q '^/host/role = ' "$work/out" || echo "$cluster $role: no role"
        done
    done 2>&1
}
result "the template renders for every host of every cluster" "$(render_everywhere)"

"$build/lab/cluster-view" etcd-link master >"$work/view.json"
"$agent" -metadata "$work/view.json" $template >"$work/before"

# after CHANGE: the difference that a change of the metadata (a jq program) makes
after() {
    jq "$1" "$work/view.json" >"$work/changed.json" || exit
    cmp -s <(jq -S . "$work/view.json") <(jq -S . "$work/changed.json") && echo "changes no metadata" && return
    diff "$work/before" <("$agent" -metadata "$work/changed.json" $template)
}
while IFS='|' read -r what change; do
    result "$what is seen" "$([ -n "$(after "$change")" ] || echo "not seen")"
done <<'CHANGES'
a parameter|.env.kube_log_level = "5"
a parameter with a dash|.env["registry-mirrors"] = ""
a new host|.hosts.node["i-new"] = {ip: "192.168.9.9", sid: "9", node_id: "cln-new"}
a host that comes|.["adding-hosts"].node["i-new"].ip = "192.168.9.9"
a host that leaves|.["deleting-hosts"].node["i-new"].ip = "192.168.9.9"
the client's key|.hosts.client[].pub_key = "ssh-rsa AAAA other"
the master's token|.hosts.master[].token = "{}"
an address behind a link|(.links.etcd_service.hosts | .[] | .[] | .ip) = "192.168.9.9"
a new vxnet of the cluster|.cluster.vxnet = "vxnet-other"
a resized host|.host.memory = "1"
CHANGES
while IFS='|' read -r what change; do
    result "$what is not seen" "$(after "$change")"
done <<'CHANGES'
a command for this host|.cmd = {id: "1", cmd: "true", timeout: "1"}
a host's health|.hosts.node[].health = "bad"
another host's token|.hosts.node[].token = "x"
CHANGES
finish
