#!/bin/bash
# For each parameter that may change: which files of which role change, what is done once and in which order, and which
# add-ons are applied again. Everything else stays as it is.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "paths { opt = \"$PWD/tests/golden/opt\" }" >"$work/hook.conf"
roles="master node log client"

# hook ROLE EVENT OPTION...: with root and metadata of this test; what it logs is shown when it fails
hook() {
    "$build/bin/k8s-$1" "${@:2}" --root "$work/$cluster/$1" --config "$work/hook.conf" 2>"$work/printed" || cat "$work/printed"
}

# prepare CLUSTER: the files of each role as init leaves them
prepare() {
    local role
    cluster=$1
    [ ! -d "$work/$cluster" ] || return 0
    for role in $roles; do
        mkdir -p "$work/$cluster/$role/var/lib/k8s-hooks"
        "$build/lab/cluster-view" "$cluster" "$role" >"$work/$cluster/$role.json" 2>/dev/null || continue
        hook "$role" render --metadata "$work/$cluster/$role.json"
        touch "$work/$cluster/$role/var/lib/k8s-hooks/files-written"
    done
}

# differing ROLE: "FILES | ACTIONS | ADD-ONS" that the changed metadata makes
differing() {
    local root=$work/$cluster/$1
    hook "$1" reload --diff --metadata "$work/changed.json" >"$work/reload"
    hook "$1" render --diff --metadata "$work/changed.json" >"$work/render"
    echo "$(sed -nE "s#^(---|\+\+\+) $root(/.*)#\2#p; s#^$root(/[^:]*): changed, .*#\1#p" "$work/render" | sort -u | xargs)" \
        "|" "$(sed -n 's/^would do: //p' "$work/reload" | xargs)" \
        "|" "$(sed -nE 's/^((---|\+\+\+) )?add-on ([^:]*): .*/\3/p' "$work/render" | sort -u | xargs)" | xargs
}

# change CLUSTER KEY VALUE "ROLES: FILES | ACTIONS | ADD-ONS"...: for roles that are not named, nothing
change() {
    local cluster role expected row wrong=
    prepare "$1"
    changed="${changed-} $2"
    for role in $roles; do
        [ -s "$work/$cluster/$role.json" ] || continue
        expected="| |"
        for row in "${@:4}"; do
            [[ " ${row%%:*} " != *" $role "* ]] || expected=$(xargs <<<"${row#*:}")
        done
        jq --arg key "$2" --arg value "$3" '.env[$key] = $value' "$work/$cluster/$role.json" >"$work/changed.json"
        wrong+=$(diff <(echo "$role: $expected") <(echo "$role: $(differing "$role")"))
    done
    result "$2" "$wrong"
}

nodes="master node log"
client=/etc/qingcloud/client.yaml docker=/etc/docker/daemon.json kubeadm=/etc/kubernetes/kubeadm.yaml
logins="/root/.docker/config.json /var/lib/kubelet/config.json"
key="Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1Y1"
unit=/etc/systemd/system/kubelet.service.d/10-k8s-hooks.conf

change hostnic access_key_id ZZZZZZZZZZZZZZZZZZZZ "master: $client | | cloud-controller hostnic storage" "node log: $client | |"
change hostnic secret_access_key $key "master: $client | | cloud-controller hostnic storage" "node log: $client | |"
change hostnic pod_vxnets "vxnet-pods01 vxnet-pods02 vxnet-pods03" "master: | | hostnic"
change three-logs api_external_domain api.example.com \
    "master: /etc/hosts $kubeadm | certificate control-plane kube-proxy provider-ids |" "node log client: /etc/hosts | |"
change three-logs cluster_port_range 31000-32000 "master: $kubeadm | certificate control-plane kube-proxy | prometheus"
change three-logs max_pods 80 "$nodes: /etc/kubernetes/kubelet.yaml | kubelet-restart |"
change three-logs registry-mirrors https://m.example.com "$nodes client: $docker | docker-restart |"
change three-logs insecure-registries 10.1.1.1:5000 "$nodes client: $docker | docker-restart |"
change three-logs docker_bip 172.31.0.1/16 "$nodes client: $docker | docker-restart |"
cas="/etc/docker/certs.d/hub.example.com/ca.crt /etc/docker/certs.d/registry.example.com:5000/ca.crt"
change private-registry private-registry hub.example.com "$nodes: $cas $logins | kubelet-restart |" \
    "client: $cas ${logins% *} | |"
change private-registry dockerhub_username other "$nodes: $logins | kubelet-restart |" "client: ${logins% *} | |"
change private-registry dockerhub_password other "$nodes: $logins | kubelet-restart |" "client: ${logins% *} | |"
change private-registry registry_ca "" "$nodes client: ${cas#* } | |"
change three-logs keep_log_days 7 "master: /etc/systemd/system/k8s-prune-logs.service | daemon-reload prune-logs |"
change es-server kube_log_level 2 "master: /etc/kubernetes/kube-proxy.yaml $kubeadm $client $unit | daemon-reload \
    kubelet-restart certificate control-plane kube-proxy | cloud-controller storage" \
    "node log: $client $unit | daemon-reload kubelet-restart |"
change three-logs fluent_forward_server logs.example.com:24224 "master: | | fluent-bit"
change es-server es_server 10.9.8.7:9200 "master: | | elasticsearch-external fluent-bit kibana"
change three-logs enable_istio yes "master: | | istio"
change three-logs enable_helm yes "client: /opt/kubernetes/bin/helm | |"

result "every parameter that the form lets change is among these" "$(diff <(xargs -n1 <<<"$changed" | sort) <(jq --raw-output \
    '.. | objects | select(.changeable? == true).key' templates/appcenter/config.json | sort))"
finish
