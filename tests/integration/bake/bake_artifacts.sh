#!/bin/bash
# Everything that image.conf and those beside it fetch, with stand-ins under the same addresses behind a mirror prefix: asked
# for where it should be, verified, put and run where it should be. Needs root and Debian's archive.
set -uo pipefail
. tests/integration/tap.bash
needs_bakes "artifacts"
# mounts of its own, for a disk that is full
[ -n "${OWN_MOUNTS:-}" ] || OWN_MOUNTS=yes exec unshare --mount "$0"

bake=$PWD/${BUILD:-build}/bin/k8s-bake
base=/var/cache/k8s-hooks/bake-test/base
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; umount "$work/small" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT
conf=$PWD/image
cat >"$work/image.conf" <<X
include("$conf/cri-dockerd.conf")
packages = {"systemd"}
overlay = {}
leave-out = {"image *", "unit *"}
X
cd "$work" || exit 1

# archive PATH FILE...: a tar archive of FILEs at PATH below the server
archive() { mkdir -p "$(dirname "served/$1")" && tar -C made --mtime=@0 --owner=0 --group=0 -czf "served/$1" "${@:2}"; }
text() { mkdir -p "$(dirname "served/$1")" && echo "$2" >"served/$1"; }
# at NAME: where the artifact or manifest is fetched from, below the server
at() {
    awk -v name="\"$1\"" '$1 ~ /^(artifact|manifest)$/ { here = $2 == name } here && $1 == "url" { url = $3 } END { print url }' \
        "$conf"/{image,release,cri-dockerd}.conf | sed 's,"https://\(.*\)",\1,; s,${kubernetes},v1.24.17,'
}
helm=$(at helm) agent=$(at app-agent) istioctl=$(at istioctl)
mkdir -p made/app-agent-linux-amd64/bin made/linux-amd64 made/cri-dockerd
cat >made/app-agent-linux-amd64/install.sh <<'X'
#!/bin/sh
set -e
mkdir -p /opt/qingcloud/app-agent/bin
cp bin/confd /opt/qingcloud/app-agent/bin
pwd >/opt/qingcloud/app-agent/installed-from
X
printf '#!/bin/sh\necho "# $*"\necho "kind: List"\n' >made/istioctl
for program in app-agent-linux-amd64/bin/confd linux-amd64/helm linux-amd64/LICENSE cri-dockerd/cri-dockerd; do
    echo "$program" >"made/$program"
done
find made -type f -exec chmod 0755 {} +
archive "$agent" app-agent-linux-amd64
archive "$helm" linux-amd64
archive "$istioctl" istioctl
archive "$(at cri-dockerd)" cri-dockerd
for name in flannel hostnic csi metrics-server dashboard kubelet kubeadm kubectl; do
    text "$(at $name)" $name
done

exec {printed}< <(exec python3 -c '
import functools, http.server
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *of): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory="served"))
print(server.server_port, flush=True)
server.serve_forever()' 2>server.log)
server=$!
read -r -t 300 -u "$printed" port || exit 1

# bake_of CACHE [OPTION...]: the output, and the status in $status
bake_of() {
    mkdir -p "$1" "$base" && ln -sfn "$base" "$1/base"
    output=$("$bake" --conf image.conf --lock image.lock --set kubernetes=v1.24.17 --mirror "http://127.0.0.1:$port" --cache "$@" 2>&1)
    status=$?
}
# holds PATH TEXT [MODE]: complaints about a file of the root
holds() {
    [ "$(cat "root$1" 2>&1)" = "$2" ] || echo "$1: $(cat "root$1" 2>&1)"
    [ $# -lt 3 ] || [ "$(stat -c %a "root$1")" = "$3" ] || ls -l "root$1"
}
sha256() { sha256sum <"served/$1" | cut -d' ' -f1; }

bake_of cache --update-lock
result "every address answers, and its pin is the hash of the file there" "$(expect 0
    diff <(jq -r '.artifacts[]' image.lock | sort) <(find served -type f -exec sha256sum {} + | cut -d' ' -f1 | sort))"
bake_of cache --root root
result "they are baked" "$(expect 0 "is baked")"
result "AppCenter's agent is where its installer puts it, run from where it was unpacked" "$(
    holds /opt/qingcloud/app-agent/installed-from /opt/qingcloud/app-agent-installer
    holds /opt/qingcloud/app-agent/bin/confd app-agent-linux-amd64/bin/confd 755)"
result "Helm is, alone of its archive" "$(holds /opt/kubernetes/lib/helm linux-amd64/helm 755
    ls root/opt/kubernetes/lib/LICENSE 2>/dev/null)"
# both Deployments of the profile: as workers there may be SSD nodes alone
istio="# manifest generate --set profile=default"
for part in components.pilot "components.ingressGateways[0]"; do
    [ $part = components.pilot ] || istio+=" --set $part.name=istio-ingressgateway"
    for word in key=dedicated value=ssd effect=NoSchedule; do
        istio+=" --set $part.k8s.tolerations[0].$word"
    done
done
result "Istio's manifest is what istioctl prints" "$(
    holds /opt/kubernetes/manifests/istio.yaml "$istio"$'\nkind: List' 644)"
result "the other manifests are as they came" "$(for name in flannel hostnic csi metrics-server dashboard; do
    holds /opt/kubernetes/manifests/$name.yaml $name 644
done)"
result "Kubernetes' own programs and cri-dockerd are" "$(for name in kubelet kubeadm kubectl; do
    holds /usr/bin/$name $name 755
done
holds /usr/bin/cri-dockerd cri-dockerd/cri-dockerd 755)"
result "versions.json has cri-dockerd" "$(jq -e '.kubernetes == "v1.24.17" and .container_runtime == "cri-dockerd"
    and .kubeadm_api == "v1beta3" and .cri_socket == "unix:///var/run/cri-dockerd.sock"' root/opt/kubernetes/versions.json 2>&1 | grep -v true)"
bake_of cache --root root
result "a second bake runs nothing again" "$(expect 0 "nothing to do")"

# --- what goes wrong
pinned=$(jq -r '.artifacts | to_entries[] | select(.key | contains("/helm-")).value' image.lock)
echo other >made/linux-amd64/helm && archive "$helm" linux-amd64
bake_of cache2 --root root2
result "content that is not the pinned is refused: artifact, expected, found" \
    "$(expect 25 "helm: " "expected $pinned" "found $(sha256 "$helm")")"
result "and no artifact is in the root" "$(ls -d root2/usr/bin/kubelet root2/opt/kubernetes 2>/dev/null)"
bake_of cache --update-lock helm
bake_of cache --root root
result "after --update-lock it is placed" "$(expect 0 "artifact helm"
    holds /opt/kubernetes/lib/helm other)"
printf '#!/bin/sh\necho "no licence"\nexit 3\n' >made/app-agent-linux-amd64/install.sh
archive "$agent" app-agent-linux-amd64
bake_of cache --update-lock app-agent
bake_of cache --root root
result "a failed installer is reported with its output" "$(expect 17 "artifact app-agent" "exit status 3" "no licence")"
result "and what was unpacked for it is removed" "$(find root/opt/qingcloud/app-agent-installer -type f)"
echo 'not a program' >made/istioctl && archive "$istioctl" istioctl
printf '#!/bin/sh\n' >made/app-agent-linux-amd64/install.sh && archive "$agent" app-agent-linux-amd64
bake_of cache --update-lock istioctl
bake_of cache --update-lock app-agent
bake_of cache --root root
result "a command that cannot be run is reported, and its earlier output is kept" "$(expect 17 "manifest istio"
    holds /opt/kubernetes/manifests/istio.yaml "$istio"$'\nkind: List')"
mkdir small && mount -t tmpfs -o size=64k none small
head -c 200000 /dev/urandom >made/linux-amd64/helm && archive "$helm" linux-amd64
bake_of small --update-lock helm
result "a full disk is reported: artifact, path, reason" "$(expect 15 "helm: " "cannot write small/part/" "No space left on device")"
umount small
kill "$server" && wait "$server" 2>/dev/null
server=
bake_of cache3 --jobs 32 --root root3
result "no network: each artifact is named with its address" "$(expect 15 "helm: http://127.0.0.1:$port/$helm" "kubelet: http://"
    ls -d root3/usr/bin/kubelet root3/opt/kubernetes 2>/dev/null)"
finish
