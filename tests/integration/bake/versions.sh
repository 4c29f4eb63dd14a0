#!/bin/bash
# What follows from the Kubernetes version in image.conf: kubeadm's documents and the way to Docker, as the hooks render them.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# rendered VERSION: $work/VERSION/{master,node} with the versions.json of an image of it
rendered() {
    local role settings=$work/$1/hook.conf
    mkdir -p "$work/$1/opt"
    "$build/bin/k8s-bake" versions --conf image/cri-dockerd.conf --set "kubernetes=$1" >"$work/$1/opt/versions.json" || return
    printf 'paths { opt = "%s" }\nmetadata { servers = {"http://192.168.0.250:80"} }\n' "$work/$1/opt" >"$settings"
    for role in master node; do
        "$build/lab/cluster-view" etcd-link $role >"$work/metadata.json" 2>/dev/null &&
            "$build/bin/k8s-$role" render --root "$work/$1/$role" --config "$settings" --metadata "$work/metadata.json" \
                >"$work/log" 2>&1 || cat "$work/log"
    done
}

# documents VERSION: what kubeadm is given, as JSON by kind
documents() {
    python3 -c 'import json, sys, yaml
print(json.dumps({d["kind"]: d for f in sys.argv[1:] for d in yaml.safe_load_all(open(f))}))' \
        "$work/$1/master/etc/kubernetes/kubeadm.yaml" "$work/$1/node/etc/kubernetes/kubeadm-join.yaml"
}
# kubeadm VERSION CONDITION: jq's complaint
kubeadm() { documents "$1" | jq -e "$2" | grep -vx true; }
# flags VERSION: the kubelet's
flags() { sed -n '/^ExecStart=\/usr/,/[^\\]$/p' "$work/$1/node/etc/systemd/system/kubelet.service.d/10-k8s-hooks.conf"; }

docker_flags="--network-plugin=cni
--cni-conf-dir=/etc/cni/net.d
--cni-bin-dir=/opt/cni/bin,/usr/lib/cni
--pod-infra-container-image=$("$build/bin/k8s-bake" versions --conf image/cri-dockerd.conf | jq -r .images.pause)"
# has_docker_flags TEXT: which of them are not in it
has_docker_flags() { comm -23 <(sort <<<"$docker_flags") <(tr -d ' \\' <<<"$1" | sort); }

# with a linked etcd
api_server_arguments='["audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize", "audit-log-path", "audit-policy-file",
    "encryption-provider-config", "etcd-prefix", "profiling", "service-node-port-range", "tls-cipher-suites", "v"]'
component_arguments='["leader-elect", "profiling", "v"]'

for version in v1.20.2 v1.21.14 v1.22.17 v1.23.17 v1.24.17 v1.30.1 v1.31.1; do
    case $version in
    v1.2[01].*) api=v1beta2 ;;
    v1.31.*) api=v1beta4 ;;
    *) api=v1beta3 ;;
    esac
    result "$version: the files are rendered" "$(rendered $version 2>&1)"
    result "$version: kubeadm's documents are $api" "$(kubeadm $version "[.InitConfiguration, .ClusterConfiguration, .JoinConfiguration
        | .apiVersion == \"kubeadm.k8s.io/$api\"] | all")"
    if [ $api = v1beta4 ]; then
        result "$version: arguments are a list, spans are apart" "$(kubeadm $version "
            (.ClusterConfiguration | ([.apiServer.extraArgs[].name] | sort == $api_server_arguments)
                and ([.scheduler.extraArgs[].name] | sort == $component_arguments)
                and .controllerManager == .scheduler and (.apiServer | has(\"timeoutForControlPlane\") | not))
            and (.JoinConfiguration | .timeouts == {discovery: \"2m0s\"} and (.discovery | has(\"timeout\") | not))")"
    else
        result "$version: arguments are a map" "$(kubeadm $version "
            (.ClusterConfiguration | (.apiServer.extraArgs | keys == $api_server_arguments)
                and (.scheduler.extraArgs | keys == $component_arguments) and .controllerManager == .scheduler
                and .apiServer.timeoutForControlPlane == \"4m0s\")
            and .JoinConfiguration.discovery.timeout == \"2m0s\"")"
    fi
    unit=$work/$version/node/etc/systemd/system/cri-docker.service
    case $version in
    v1.2[0-3].*)
        result "$version: the kubelet has the way to Docker itself" "$(has_docker_flags "$(flags $version)"
            flags $version | grep -e --container-runtime
            [ ! -e "$unit" ] || echo "there is $unit"
            kubeadm $version '[.InitConfiguration, .JoinConfiguration | .nodeRegistration.criSocket == "/var/run/dockershim.sock"] | all')"
        ;;
    *)
        socket=unix:///var/run/cri-dockerd.sock
        result "$version: cri-dockerd has it, and the kubelet its socket" "$(has_docker_flags "$(cat "$unit")"
            flags $version | grep -e --network-plugin -e --cni- -e --pod-infra
            grep -qF -e "--container-runtime-endpoint=$socket" <<<"$(flags $version)" || flags $version
            grep -qF -e "--container-runtime-endpoint=$socket" "$unit" || cat "$unit"
            kubeadm $version "[.InitConfiguration, .JoinConfiguration | .nodeRegistration.criSocket == \"$socket\"] | all")"
        result "$version: and is started before it" "$(grep -qx After=cri-docker.service "${unit%/*}/kubelet.service.d/10-k8s-hooks.conf" &&
            grep -qx Wants=cri-docker.service "${unit%/*}/kubelet.service.d/10-k8s-hooks.conf" || echo no)"
        ;;
    esac
done

result "an image of 1.24 without cri-dockerd is refused" "$(
    printed=$("$build/bin/k8s-bake" versions --conf image/release.conf --set kubernetes=v1.24.17 2>&1)
    [[ $? = 3 && $printed == *"Kubernetes v1.24.17 reaches Docker through cri-dockerd"* ]] || echo "$printed")"
finish
