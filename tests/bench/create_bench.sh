#!/bin/bash
# What the create event takes from booted machines until every node is Ready, against what a user would type on the same
# machines: docker load, kubeadm init, the release's flannel, kubeadm join. Ours also applies every add-on; by hand stops at
# the network. The two take turns, ROUNDS times (default 1), and the medians are compared; times are printed, never judged.
# The first cluster also serves ratios_bench's health check.
# MACHINES (default: master=1 node=1 log=2 client=1) are those of `lab create`.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
read -r -a machines <<<"${MACHINES:-master=1 node=1 log=2 client=1}"
lab=("$build/lab/lab" --name bench)
work=$(mktemp -d)
trap '"${lab[@]}" down >/dev/null 2>&1; rm -rf "$work"' EXIT

quietly() { # COMMAND...: its output is shown when it fails
    "$@" >"$work/output" 2>&1 </dev/null || { cat "$work/output" >&2 && return 1; }
}

on() { # MACHINE LINE
    "${lab[@]}" exec "$1" bash -ec "export PATH=/opt/kubernetes/bin:\$PATH; $2" </dev/null
}

members() {
    "${lab[@]}" status --json | jq -r '.machines[].machine' | grep -v '^client'
}

# Seconds of the create event less its machines' boot, from what the lab recorded.
recorded() {
    "${lab[@]}" events --json | jq -s -r '
        [.[] | if type == "array" then .[] else . end | select(.machine != null and .status == 0)] as $all
        | ([$all[] | select(.event == "init") | .begin_ns] | min) as $began
        | ([$all[] | select(.event == "start" or .event == "init") | .end_ns] | max) as $ended
        | ($ended - $began) / 1e9'
}

# The drop-in is the one that kubeadm's own package brings.
# shellcheck disable=SC2016 # the machine's shell, and systemd, expand it
docker_by_hand() { # MACHINE
    on "$1" 'mkdir -p /etc/systemd/system/kubelet.service.d
        cat >/etc/systemd/system/kubelet.service.d/10-kubeadm.conf <<END
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=
ExecStart=/usr/bin/kubelet \$KUBELET_KUBECONFIG_ARGS \$KUBELET_CONFIG_ARGS \$KUBELET_KUBEADM_ARGS
END
        systemctl daemon-reload
        mkdir -p /etc/docker
        echo "{\"data-root\": \"/data/docker\", \"exec-opts\": [\"native.cgroupdriver=systemd\"]}" >/etc/docker/daemon.json
        systemctl start docker
        for archive in /opt/kubernetes/images/*.tar; do docker load --quiet --input $archive; done'
}

join_by_hand() { # MACHINE COMMAND
    docker_by_hand "$1"
    on "$1" "$2 --ignore-preflight-errors=all"
}

# shellcheck disable=SC2016 # the machine's shell expands it
by_hand() {
    docker_by_hand master-1
    on master-1 'kubeadm init --kubernetes-version=$(jq -r .kubernetes /opt/kubernetes/versions.json) \
        --pod-network-cidr=10.244.0.0/16 --ignore-preflight-errors=all
        export KUBECONFIG=/etc/kubernetes/admin.conf
        kubectl apply -f /opt/kubernetes/manifests/flannel.yaml'
    local join machine joins=()
    join=$(on master-1 'KUBECONFIG=/etc/kubernetes/admin.conf kubeadm token create --print-join-command')
    for machine in $(members); do
        [ "$machine" = master-1 ] && continue
        join_by_hand "$machine" "$join" &
        joins+=($!)
    done
    for machine in "${joins[@]}"; do wait "$machine"; done
    on master-1 'kubectl --kubeconfig=/etc/kubernetes/admin.conf wait --for=condition=Ready --timeout=300s nodes --all'
}

median() { # NUMBER...
    printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"
}

# Of a node whose cluster has settled.
health() {
    quietly on client-1 'kubectl wait pods --all-namespaces --field-selector=status.phase!=Succeeded \
        --for=condition=Ready --timeout=300s'
    BUILD=$build "$build/tests/bench/ratios_bench" health bench
}

ours=() theirs=()
for ((round = 0; round < ${ROUNDS:-1}; round++)); do
    quietly "${lab[@]}" create "${machines[@]}"
    ours+=("$(recorded)")
    if [ "$round" = 0 ]; then
        health
    fi
    quietly "${lab[@]}" down
    quietly "${lab[@]}" up "${machines[@]}"
    began=$(date +%s.%N)
    quietly by_hand
    theirs+=("$(echo "$(date +%s.%N) - $began" | bc)")
    quietly "${lab[@]}" down
done
a=$(median "${ours[@]}") b=$(median "${theirs[@]}")
echo "create, ${machines[*]}: from booted machines to every node Ready, in seconds; load average $(cut -d' ' -f1 /proc/loadavg)"
printf '  %-44s %8.1f\n' "AppCenter's create, with every add-on" "$a"
printf '  %-44s %8.1f\n' "docker load, kubeadm, flannel by hand" "$b"
printf '  %-44s %8.2f\n' "ratio, of ours to that" "$(echo "scale=3; $a / $b" | bc)"
