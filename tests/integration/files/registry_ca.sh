#!/bin/bash
# A private registry whose certificate only its own CA signs: Docker pulls from it while registry_ca says so. Registry and
# Docker are real, in namespaces of their own.
set -uo pipefail
. tests/integration/tap.bash
for program in dockerd docker docker-registry skopeo; do
    if [ "$(id -u)" != 0 ] || ! command -v $program >/dev/null; then
        skipped "images of a registry with a CA of its own" "needs root and $program"
        finish
        exit
    fi
done
[ -n "${OWN_NAMESPACES:-}" ] || OWN_NAMESPACES=yes exec unshare --mount --net --pid --fork --mount-proc --kill-child "$0"

build=${BUILD:-build}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf --one-file-system "$work"' EXIT
root=$work/root
host=192.168.7.7:5000 # Docker does without TLS for 127.0.0.0/8
export DOCKER_HOST=unix:///run/docker.sock
mkdir -p "$root/etc/docker/certs.d" && mount -t tmpfs none /run && mount -t tmpfs none /etc/docker && ip link set lo up &&
    mkdir /etc/docker/certs.d && mount --bind "$root/etc/docker/certs.d" /etc/docker/certs.d &&
    ip address add "${host%:*}/32" dev lo || exit 1

openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj "/CN=Harbor CA" -keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=harbor -keyout "$work/key.pem" 2>/dev/null | openssl x509 -req -days 1 \
    -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -extfile <(echo "subjectAltName=IP:${host%:*}") \
    -out "$work/cert.pem" 2>/dev/null
cat >"$work/registry.yml" <<Y
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "$host", tls: {certificate: $work/cert.pem, key: $work/key.pem}}
Y
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
dockerd --host "$DOCKER_HOST" --data-root "$work/docker" --exec-root /run/docker --pidfile /run/docker.pid --bridge none \
    --iptables=false --storage-driver vfs >"$work/docker.log" 2>&1 &
docker=$!

mkdir -p "$work/layer" && echo word >"$work/layer/word" && tar -C "$work/layer" -cf "$work/layer.tar" word
jq -n --arg layer "sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)" '{architecture: "amd64", os: "linux", config: {},
    rootfs: {type: "layers", diff_ids: [$layer]}}' >"$work/config.json"
echo '[{"Config": "config.json", "RepoTags": ["pushed:1"], "Layers": ["layer.tar"]}]' >"$work/manifest.json"
tar -C "$work" -cf "$work/image.tar" manifest.json config.json layer.tar
up() { curl --silent --fail --retry 300 --retry-all-errors --retry-delay 1 --retry-max-time 300 "$@" >/dev/null 2>&1; }
result "registry and Docker are up" "$({ up --cacert "$work/ca.crt" "https://$host/v2/" && up --unix-socket /run/docker.sock \
    http://docker/info && skopeo copy --quiet --insecure-policy --dest-tls-verify=false "docker-archive:$work/image.tar" \
    "docker://$host/team/app:1"; } 2>&1 || tail -n 5 "$work/registry.log" "$work/docker.log")"

# write PROGRAM [OPTION...]: what a node writes when jq's program has changed the parameters
write() {
    echo "paths { opt = \"$PWD/tests/golden/opt\" }" >"$work/hook.conf"
    "$build/lab/cluster-view" private-registry node | jq --arg host "$host" "${@:2}" \
        '.env["private-registry"] = $host | .env.registry_ca = "" | '"$1" >"$work/metadata.json"
    "$build/bin/k8s-node" render --root "$root" --config "$work/hook.conf" --metadata "$work/metadata.json" 2>"$work/printed"
}
# pull: Docker's answer to it, in one line. That a loaded machine took longer than Docker waits for a registry is none.
pull() {
    local printed
    for _ in $(seq 5); do
        docker image rm "$host/team/app:1" >/dev/null 2>&1
        printed=$(docker pull --quiet "$host/team/app:1" 2>&1 | tr '\n' ' ')
        [[ $printed == *@(Client.Timeout|deadline exceeded|handshake timeout)* ]] || break
    done
    echo "$printed"
}
# has TEXT WORDS
has() { [[ $1 == *"$2"* ]] || echo "not \"$2\": $1"; }
unknown="certificate signed by unknown authority"

result "without registry_ca Docker refuses the registry's certificate" "$(write . && has "$(pull)" "$unknown" ||
    cat "$work/printed")"
result "with it the image is pulled, without a restart" "$(write '.env.registry_ca = $ca' --rawfile ca "$work/ca.crt" &&
    has "$(pull)" "$host/team/app:1" || cat "$work/printed")"
result "also when the form has made blanks of its line breaks" \
    "$(write '.env.registry_ca = ($ca | gsub("\n"; " ") | rtrimstr(" "))' --rawfile ca "$work/ca.crt" &&
        has "$(pull)" "$host/team/app:1" || cat "$work/printed")"
before=$(cd "$root" && find . -type f -exec sha256sum {} + | sort)
result "what is not a certificate is refused by its key, no part of a private key is printed, and nothing changes" \
    "$(write '.env.registry_ca = $key' --rawfile key "$work/ca.key" && echo "it is accepted"
        has "$(<"$work/printed")" 'registry_ca: empty, or CA certificates'
        grep -v -e '^-' "$work/ca.key" | head -c 20 | grep -F -f - "$work/printed"
        diff <(echo "$before") <(cd "$root" && find . -type f -exec sha256sum {} + | sort))"
result "another CA's is not enough" "$(openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj "/CN=Harbor CA" -keyout /dev/null \
    -out "$work/other.crt" 2>/dev/null; write '.env.registry_ca = $ca' --rawfile ca "$work/other.crt" &&
    has "$(pull)" "$unknown" || cat "$work/printed")"
own=$root/etc/docker/certs.d/other.example.com
mkdir -p "$own" && cp "$work/ca.crt" "$own/ca.crt"
result "of another registry, the file moves, and what a user put beside it stays" \
    "$(write '.env["private-registry"] = "hub.example.com" | .env.registry_ca = $ca' --rawfile ca "$work/ca.crt" ||
        cat "$work/printed"
        diff <(printf '%s\n' hub.example.com/ca.crt other.example.com/ca.crt) \
            <(cd "$root/etc/docker/certs.d" && find . -type f | sed 's/^..//' | sort))"
result "without registry_ca the file is gone, and Docker refuses again" "$(write . || cat "$work/printed"
    cd "$root/etc/docker/certs.d" && find . -name ca.crt ! -path './other.example.com/*'
    has "$(pull)" "$unknown")"
kill $docker
finish
