#!/bin/bash
# Every kind of file that is rendered, given to the program it is for. Files that are the same in several clusters are
# given once. A consumer that is not on this machine is a skipped test.
set -uo pipefail
. tests/integration/tap.bash
. tests/integration/files/rendered.bash
kubernetes=${KUBERNETES_BINARIES:-/var/cache/k8s-hooks/kubernetes-v1.20.2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trees=$work/trees
render_all "$trees"

# files PATH...: the rendered files whose path below the root matches, one of each content
files() {
    local path
    for path; do
        find "$trees" -mindepth 3 -type f -path "$trees/*/*/$path"
    done | xargs -d '\n' md5sum | sort | awk '!seen[$1]++ {print $2}'
}

# each DESCRIPTION FUNCTION PATH...: FUNCTION FILE prints its complaint
each() {
    local description=$1 check=$2 file found='' printed
    shift 2
    while read -r file; do
        [ -n "$file" ] || continue
        found=yes
        printed=$("$check" "$file" 2>&1)
        [ -z "$printed" ] || break
        printed=
    done < <(files "$@")
    [ -n "$found" ] || printed="nothing is rendered at $*"
    result "$description" "${printed:+${file#"$trees"/}: $printed}"
}

# with CONDITION REASON DESCRIPTION FUNCTION PATH...: each, or skipped
with() {
    if eval "$1"; then
        each "${@:3}"
    else
        skipped "$3" "$2"
    fi
}
has() {
    command -v "$1" >/dev/null
}
root='[ "$(id -u)" = 0 ] && unshare -mn true 2>/dev/null'

parse_json() {
    jq --exit-status 'type == "object"' "$1" 2>&1 >/dev/null || echo "no JSON object"
}
each "JSON: jq" parse_json '*.json' '*.conflist'

parse_yaml() {
    python3 -c 'import sys, yaml; [yaml.safe_load_all(open(f)) and list(yaml.safe_load_all(open(f))) for f in sys.argv[1:]]' "$1"
}
with 'python3 -c "import yaml"' "no python3-yaml" "YAML: PyYAML" parse_yaml '*.yaml'

# kubeadm only warns of fields it does not know
kubeadm_takes() {
    "$kubernetes/kubeadm" config migrate --old-config "$1" --new-config "$work/migrated" >"$work/log" 2>&1 ||
        cat "$work/log"
    grep -i 'strict\|unknown' "$work/log"
}
with '[ -x $kubernetes/kubeadm ]' "no kubeadm" "kubeadm's configuration: kubeadm" kubeadm_takes etc/kubernetes/kubeadm.yaml \
    etc/kubernetes/kubeadm-join.yaml

proxy_takes() {
    sed '0,/kubeproxy.config/{/kubeproxy.config/!d}' "$1" >"$work/proxy.yaml"
    "$kubernetes/kube-proxy" --config "$work/proxy.yaml" --write-config-to "$work/proxy.out" >"$work/log" 2>&1 ||
        cat "$work/log"
    grep -i 'strict\|unknown' "$work/log"
}
with '[ -x $kubernetes/kube-proxy ]' "no kube-proxy" "kube-proxy's configuration: kube-proxy" proxy_takes \
    etc/kubernetes/kubeadm.yaml

# The kubelet reads and validates flags and configuration before it misses the CA certificate.
kubelet_takes() {
    local flags missing=/nonexistent/ca.crt tree=${1%/etc/systemd/*}
    sed "s#clientCAFile:.*#clientCAFile: $missing#" "$tree/etc/kubernetes/kubelet.yaml" >"$work/kubelet.yaml"
    flags=$(sed -n '/^ExecStart=\/usr\/bin\/kubelet/,/[^\\]$/p' "$1" | tail -n +2 | tr -d '\\\n')
    # shellcheck disable=SC2086
    timeout 300 "$kubernetes/kubelet" $flags --config="$work/kubelet.yaml" --root-dir="$work/kubelet" \
        --cert-dir="$work/kubelet/pki" --kubeconfig="$work/none" --bootstrap-kubeconfig= >"$work/log" 2>&1
    grep -q "unable to load client CA file $missing" "$work/log" || grep -m 3 '^[EF]\|unknown\|invalid' "$work/log" ||
        tail -n 3 "$work/log"
    grep -i 'lenient\|strict' "$work/log"
}
with '[ -x $kubernetes/kubelet ]' "no kubelet" "the kubelet's flags and configuration: kubelet" kubelet_takes \
    'etc/systemd/system/kubelet.service.d/*'

same_cgroup_driver() {
    local driver kubelet=${1%/etc/docker/*}/etc/kubernetes/kubelet.yaml
    [ -e "$kubelet" ] || return # the client has no kubelet
    driver=$(sed -n 's/^cgroupDriver: //p' "$kubelet")
    jq --raw-output --arg driver "$driver" \
        'select(.["exec-opts"] | index("native.cgroupdriver=\($driver)") | not) | "the kubelet has \($driver)"' "$1"
}
each "the kubelet and Docker have one cgroup driver" same_cgroup_driver etc/docker/daemon.json

# Docker 20.10 has no --validate: it is started, in namespaces of its own, and asked what it took.
docker_takes() {
    mkdir -p "$work/data" && rm -rf "$work/info"
    unshare --mount --net --pid --fork --mount-proc bash -c '
        mount -t tmpfs none /run && mkdir -p /data && mount --bind "$1/data" /data && ip link set lo up || exit
        dockerd --config-file "$2" --host unix:///run/docker.sock >"$1/docker.log" 2>&1 &
        curl --silent --show-error --unix-socket /run/docker.sock --retry 300 --retry-all-errors --retry-delay 1 \
            --retry-max-time 300 --output "$1/info" http://docker/info 2>"$1/curl.log"
        kill $! 2>/dev/null && wait' bash "$work" "$1"
    grep -i '^failed\|^unable' "$work/docker.log"
    [ -s "$work/info" ] || tail -n 3 "$work/docker.log"
    jq --raw-output --slurpfile file "$1" '$file[0] as $file |
        def clean: map(rtrimstr("/")) | sort;
        if .DockerRootDir != $file["data-root"] then "root \(.DockerRootDir)" else empty end,
        if .LiveRestoreEnabled != true then "no live-restore" else empty end,
        if (.RegistryConfig.Mirrors // [] | clean) != ($file["registry-mirrors"] | clean)
            then "mirrors \(.RegistryConfig.Mirrors)" else empty end,
        (($file["insecure-registries"] - [.RegistryConfig.IndexConfigs | to_entries[] | select(.value.Secure | not).key]
            - .RegistryConfig.InsecureRegistryCIDRs)[] | "\(.): not insecure"),
        (if "native.cgroupdriver=\(.CgroupDriver)" != $file["exec-opts"][0] then .CgroupDriver else empty end)' "$work/info"
}
with "has dockerd && $root" "no dockerd, or no root" "daemon.json: dockerd" docker_takes etc/docker/daemon.json

login_is() {
    local cluster=${1#"$trees"/}
    cluster=${cluster%%/*}
    [ "$cluster" != bridge ] || cluster=ssd-nodes # render_all
    jq --raw-output --slurpfile metadata "tests/golden/clusters/$cluster/metadata.json" '
        $metadata[0].env as $env
        | ($env["private-registry"] | if . == "" then "dockerhub.qingcloud.com" else . end) as $server
        | (if $env.dockerhub_username + $env["private-registry"] == "" then {username: "guest", password: "guest"}
            else {username: $env.dockerhub_username, password: $env.dockerhub_password} end) as $login
        | if .auths == {($server): $login} then empty
            else "not the login of the parameters" end' "$1"
    [ "$(stat --format %a "$1")" = 600 ] || echo "mode $(stat --format %a "$1")"
}
each "the registry login is user name and password as they were entered, and only root's" login_is \
    root/.docker/config.json var/lib/kubelet/config.json

# systemd checks a drop-in with its unit; programs that are only on the image cannot be there.
units=$work/units
mkdir "$units"
for unit in kubelet docker; do
    printf '[Unit]\nDescription=%s\n[Service]\nExecStart=/usr/bin/%s\n' $unit $unit >"$units/$unit.service"
done
systemd_takes() {
    local system=${1%/system/*}/system name=${1#*/system/}
    name=${name%%/*}
    SYSTEMD_UNIT_PATH=$system:$units:/usr/lib/systemd/system systemd-analyze verify --man=no "${name%.d}" 2>&1 |
        grep "${name%.d}" | grep -v 'is not executable'
}
with 'has systemd-analyze' "no systemd" "units and drop-ins: systemd-analyze verify" systemd_takes 'etc/systemd/system/*'

# Only settings below the prefix are written, so none is; every line is parsed.
sysctl_takes() {
    SYSTEMD_LOG_LEVEL=warning SYSTEMD_LOG_TARGET=console /lib/systemd/systemd-sysctl --prefix=/none "$1"
}
with '[ -x /lib/systemd/systemd-sysctl ]' "no systemd" "kernel settings: systemd-sysctl" sysctl_takes 'etc/sysctl.d/*'

logrotate_takes() {
    cp "$1" "$work/logrotate" && chmod 644 "$work/logrotate"
    logrotate --debug --state "$work/state" "$work/logrotate" 2>&1 | grep -i 'error\|unknown'
}
with 'has logrotate' "no logrotate" "log rotation: logrotate -d" logrotate_takes 'etc/logrotate.d/*'

# Names are looked up as every program does: each host of the metadata by node name and by instance id.
hosts_take() {
    local cluster=${1#"$trees"/}
    cluster=${cluster%%/*}
    "$build/lab/cluster-view" "${cluster/bridge/ssd-nodes}" master | jq --raw-output '.self // . | .hosts | to_entries[]
        | .key as $role | .value | to_entries[] | "\(.value.ip) \($role | sub("_"; "-"))-\(.value.sid) \(.key)"' >"$work/names"
    # shellcheck disable=SC2016
    unshare --mount sh -c 'mount --bind "$1" /etc/hosts && while read -r address names; do
        for name in $names; do
            getent -s files ahostsv4 "$name" | grep -q "^$address " || echo "$name is not $address"
        done
    done' sh "$1" <"$work/names"
    [ -s "$work/names" ] || echo "no hosts"
}
with "$root" "no root" "/etc/hosts: the C library" hosts_take etc/hosts

routes_take() {
    # shellcheck disable=SC2016
    unshare --net sh -c 'ip link add eth0 type bridge && ip address add 192.168.100.100/16 dev eth0 &&
        ip link set eth0 up && ip -batch "$1" && ip -batch "$1" &&
        [ "$(ip route show proto 88 | wc -l)" = "$(grep -c . "$1")" ] || ip route' sh "$1"
}
with "$root" "no root" "routes: ip -batch, twice" routes_take etc/k8s-routes

# The plug-in makes an interface in a namespace with an address of the node's network.
cni_takes() {
    # shellcheck disable=SC2016
    unshare --mount --net bash -c '
        mount -t tmpfs none /run && mkdir -p /run/netns /var/lib/cni && mount -t tmpfs none /var/lib/cni && ip netns add pod &&
        export CNI_COMMAND=ADD CNI_CONTAINERID=pod CNI_NETNS=/run/netns/pod CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni &&
        jq ".plugins[0] + {name, cniVersion}" "$1" | /usr/lib/cni/bridge | jq --raw-output --slurpfile file "$1" "
            (\$file[0].plugins[0].ipam.ranges[0][0].subnet | rtrimstr(\"0/24\")) as \$network
            | .ips[0].address | select(startswith(\$network) | not)"' bash "$1"
}
with "[ -x /usr/lib/cni/bridge ] && $root" "no CNI plug-ins, or no root" "pod network: the bridge plug-in" cni_takes \
    'etc/cni/net.d/*'

parses() {
    bash -n "$1"
}
each "scripts: bash" parses 'etc/profile.d/*' 'opt/*.sh' 'etc/dhcp/*/*'

# hostnic sends the content as it is, CSI without newlines; the kubelet registers the same instance as its provider id.
instance_is() {
    local id=${1%/etc/qingcloud/instance-id}/etc/kubernetes/kubelet.yaml
    id=$(sed -n 's#^providerID: "qingcloud://\(.*\)"$#\1#p' "$id")
    [ -n "$id" ] || echo "the kubelet has no provider id"
    printf %s "$id" | cmp - "$1"
}
each "/etc/qingcloud/instance-id: the instance id and no newline" instance_is etc/qingcloud/instance-id

# The key of a real client, as the metadata has it.
key_is_taken() {
    ssh-keygen -q -t rsa -b 2048 -N '' -f "$work/key" &&
        "$build/lab/cluster-view" ssd-nodes node | jq --rawfile key "$work/key.pub" \
            '(.. | objects | select(has("pub_key")).pub_key) = ($key | rtrimstr("\n"))' >"$work/metadata.json" &&
        "$build/bin/k8s-node" render --root "$work/real" --metadata "$work/metadata.json" >/dev/null 2>&1 &&
        ssh-keygen -l -f "$work/real/root/.ssh/authorized_keys" >/dev/null
}
result "the client's key: ssh-keygen" "$(key_is_taken 2>&1 || echo "not a key")"
finish
