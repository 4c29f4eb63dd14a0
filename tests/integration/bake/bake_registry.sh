#!/bin/bash
# Container images out of a registry, by digest: a real one on the loopback, over TLS. Needs root and Debian's archive.
set -uo pipefail
. tests/integration/tap.bash
for program in mmdebstrap skopeo docker-registry; do
    if [ "$(id -u)" != 0 ] || ! command -v $program >/dev/null; then
        skipped "images out of a registry" "needs root and $program"
        finish
        exit
    fi
done
# mounts of its own: skopeo finds the registry's certificate below /etc/containers
[ -n "${OWN_MOUNTS:-}" ] || OWN_MOUNTS=yes exec unshare --mount "$0"

bake=$PWD/${BUILD:-build}/bin/k8s-bake
base=/var/cache/k8s-hooks/bake-test/base
work=$(mktemp -d)
registry=
trap 'stop_registry; rm -rf --one-file-system "$work"' EXIT
cd "$work" || exit 1

openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=registry -addext subjectAltName=IP:127.0.0.1 \
    -keyout key.pem -out cert.pem 2>/dev/null

start_registry() { # start_registry PORT: 0 for any
    local line
    cat >registry.yml <<Y
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/registry}, delete: {enabled: true}, cache: {blobdescriptor: inmemory}}
http: {addr: "127.0.0.1:$1", tls: {certificate: $work/cert.pem, key: $work/key.pem}}
Y
    exec {log}< <(exec docker-registry serve registry.yml 2>&1)
    registry=$!
    while IFS= read -r -t 300 -u "$log" line; do
        [[ $line =~ listening\ on\ 127.0.0.1:([0-9]+) ]] && port=${BASH_REMATCH[1]} && break
    done
    cat <&"$log" >registry.log &
}
stop_registry() {
    [ -z "$registry" ] || kill "$registry"
    wait "$registry" 2>/dev/null
    registry=
}
start_registry 0
host=127.0.0.1:$port
cp -r /etc/containers containers && mkdir -p "containers/certs.d/$host" && cp cert.pem "containers/certs.d/$host/ca.crt" &&
    mount --bind containers /etc/containers || exit 1

# push REPOSITORY:TAG WORD: an image of one layer, one file, that holds WORD
push() {
    local layer
    rm -rf image && mkdir -p image/layer && echo "$2" >image/layer/word
    tar -C image/layer --mtime=@0 -cf image/layer.tar word
    layer=$(sha256sum image/layer.tar | cut -d' ' -f1)
    jq -n --arg layer "sha256:$layer" '{architecture: "amd64", os: "linux", config: {},
        rootfs: {type: "layers", diff_ids: [$layer]}}' >image/config.json
    echo '[{"Config": "config.json", "RepoTags": ["pushed:1"], "Layers": ["layer.tar"]}]' >image/manifest.json
    tar -C image -cf image.tar manifest.json config.json layer.tar
    skopeo copy --quiet --insecure-policy docker-archive:image.tar "docker://$host/$1"
}
manifest=application/vnd.docker.distribution.manifest
request() { curl -sS --fail --cacert cert.pem -H "Accept: $manifest.v2+json, $manifest.list.v2+json" "$@"; }
# digest_of REPOSITORY TAG: as the registry gives it
digest_of() { request -I "https://$host/v2/$1/manifests/$2" | tr -d '\r' | sed -n 's/^docker-content-digest: //Ip'; }
# word_in ROOT IMAGE: what the layer of the image that was baked holds
word_in() {
    tar -xOf "$1/opt/kubernetes/images/$2.tar" "$(tar -xOf "$1/opt/kubernetes/images/$2.tar" manifest.json | jq -r '.[0].Layers[0]')" |
        tar -xO word
}
# bake_of CACHE [OPTION...]: the output, and the status in $status
bake_of() {
    mkdir -p "$1" "$base" && ln -sfn "$base" "$1/base" # the base system does not matter here
    output=$("$bake" --conf image.conf --cache "$@" 2>&1)
    status=$?
}
same() { [ "$1" = "$2" ] || echo "found: $1, not $2"; }

push lib/one:1 first && push lib/two:1 other || exit 1
conf() {
    cat <<Y
kubernetes = "v1.20.2"
packages = {"adduser"}
image "one" {
    reference = "k8s.gcr.io/one:1"
    source = "$1/lib/one:1"
}
image "two" { reference = "$1/lib/two:1" }
Y
}
conf "$host" >image.conf
first=$(digest_of lib/one 1)
pin_of() { jq -r --arg source "$host/$1" '.images[$source]' image.lock; }

bake_of cache --root root
result "an artifact without a pin stops the bake" "$(expect 25 "image.conf:4: image one from $host/lib/one:1" "image.conf:7: image two"
    [ ! -e root ] || echo "there is a root")"
bake_of cache --update-lock
result "--update-lock writes the digests" "$(expect 0 "pinned image one: $first"
    same "$(pin_of lib/one:1)" "$first"
    same "$(pin_of lib/two:1)" "$(digest_of lib/two 1)")"
bake_of cache --root root
result "the images are baked" "$(expect 0
    same "$(word_in root one) $(word_in root two)" "first other")"
result "under the name the cluster knows them by" \
    "$(same "$(tar -xOf root/opt/kubernetes/images/one.tar manifest.json | jq -r '.[0].RepoTags[0]')" k8s.gcr.io/one:1)"
result "the manifest names the digest" "$(same "$(jq -r '.components[] | select(.name == "one" and .type == "container")
    .properties[] | select(.name == "digest").value' root/opt/kubernetes/image-manifest.json)" "$first")"

# --- the tag moves on
push lib/one:1 second || exit 1
second=$(digest_of lib/one 1)
bake_of cache2 --root root2
result "a moved tag does not matter: the pinned digest is fetched" "$(expect 0
    same "$(word_in root2 one)" first)"
result "and gives the same bytes" "$(cmp root/opt/kubernetes/images/one.tar root2/opt/kubernetes/images/one.tar 2>&1)"
request -X DELETE "https://$host/v2/lib/one/manifests/$first" || exit 1
bake_of cache3 --root root3
result "a digest that the registry no longer has is refused: image, expected, found" \
    "$(expect 25 "image.conf:4: image one" "expected $first" "found $second" "--update-lock one")"
result "and nothing of it is there" "$(ls root3/opt/kubernetes/images/one.tar cache3/images/* 2>/dev/null)"
bake_of cache3 --update-lock one
result "--update-lock NAME pins that one again" "$(expect 0 "pinned image one: $second"
    [[ $output != *"image two"* ]] || echo "$output")"
bake_of cache3 --root root3
result "then the bake succeeds" "$(expect 0
    same "$(word_in root3 one) $(word_in root3 two)" "second other")"

# --- two bakes on one cache
mkdir -p shared && ln -sfn "$base" shared/base
for i in 1 2; do
    "$bake" --conf image.conf --cache shared --root "shared$i" >"log$i" 2>&1 &
    jobs[i]=$!
done
for i in 1 2; do
    wait "${jobs[i]}"
    result "bake $i of two on one cache has both images" "$(status=$? output=$(cat "log$i") && expect 0 "is baked"
        same "$(word_in "shared$i" one) $(word_in "shared$i" two)" "second other")"
done
result "each image is copied once" "$(same "$(cat log1 log2 | grep -c ': copying ')" 2)"
exec {busy}>"shared/lock/$(basename shared/images/"${second#sha256:}"*.tar)" && flock "$busy"
"$bake" --conf image.conf --cache shared --root shared3 >log3 2>&1 &
waiting=$!
until grep -q 'waiting for another k8s-bake' log3 || ! kill -0 $waiting 2>/dev/null; do sleep 0.1; done
kill -TERM $waiting
wait $waiting
status=$? output=$(cat log3)
result "a bake that waits for another can be interrupted" "$(expect 19 "waiting for another k8s-bake")"
flock -u "$busy"

# --- as most images are: one tag, an image for each architecture
size_of() { request "https://$host/v2/$1/manifests/$2" | wc -c; }
push lib/one:other foreign
jq -n --arg type "$manifest" --arg ours "$second" --arg other "$(digest_of lib/one other)" --argjson size "$(size_of lib/one 1)" \
    --argjson other_size "$(size_of lib/one other)" '{schemaVersion: 2, mediaType: "\($type).list.v2+json", manifests: [
    {mediaType: "\($type).v2+json", digest: $other, size: $other_size, platform: {architecture: "arm64", os: "linux"}},
    {mediaType: "\($type).v2+json", digest: $ours, size: $size, platform: {architecture: "amd64", os: "linux"}}]}' >list.json
request -X PUT -H "Content-Type: $manifest.list.v2+json" --data-binary @list.json "https://$host/v2/lib/one/manifests/1" || exit 1
bake_of cache4 --update-lock one
result "of a tag for many architectures the list is pinned" "$(same "$(pin_of lib/one:1)" "$(digest_of lib/one 1)")"
bake_of cache4 --root root4
result "and amd64 taken" "$(expect 0
    same "$(word_in root4 one)" second)"

# --- a private cloud's own
push registry.example/lib/one:1 mirrored && push registry.example/lib/two:1 mirrored || exit 1
conf registry.example >image.conf
bake_of cache5 --registry-mirror "$host" --update-lock
result "pins come from a mirror" "$(expect 0 "pinned image one")"
bake_of cache5 --registry-mirror "$host" --root root5
result "and images" "$(expect 0
    same "$(word_in root5 one)" mirrored
    same "$(tar -xOf root5/opt/kubernetes/images/two.tar manifest.json | jq -r '.[0].RepoTags[0]')" registry.example/lib/two:1)"

# --- the registry is down
stop_registry
bake_of cache5 --registry-mirror "$host" --root root6
result "a full cache needs no registry" "$(expect 0
    same "$(word_in root6 one)" mirrored)"
bake_of cache7 --registry-mirror "$host" --root root7
result "an empty one names the image and the registry that was queried" "$(expect 17 "image.conf:4: image one" "$host/registry.example/lib/one")"
bake_of cache7 --offline --root root7
result "so does --offline" "$(expect 15 "image.conf:4: image one" "--offline")"
for archive in cache5/images/*.tar; do
    echo damaged >>"$archive"
done
bake_of cache5 --offline --root root8
result "an archive that was damaged in the cache is refused" "$(expect 25 "image.conf:4: image one" "expected " "found ")"
finish
