#!/bin/bash
# Every CNI plugin that a configuration of ours or of a release's manifest names is on the nodes. The releases' manifests are
# those that image.lock pins: from $UPSTREAM, a directory of theirs beside the checkout, or the bake's cache.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

package=$(grep -o 'containernetworking-plugins' image/system.conf)
packaged=
[ -z "$package" ] || packaged=$(dpkg-query -L "$package" 2>/dev/null | sed -n 's,^/usr/lib/cni/,,p' | xargs)
if [ -z "$packaged" ] || ! python3 -c 'import yaml' 2>/dev/null; then
    skipped "CNI plugins" "needs containernetworking-plugins and python3-yaml"
    finish
    exit
fi

# pinned NAME: the release's manifest, by the hash of its address in image.lock
pinned() {
    local hash file
    hash=$(awk -v name="\"$1\"" '$1 == "manifest" { here = $2 == name } here && $1 == "url" { print $3 }' image/image.conf |
        tr -d '"' | xargs -I{} jq -r --arg url {} '.artifacts[$url]' image/image.lock)
    for file in "${UPSTREAM:-../shared/upstream}"/*.yaml /var/cache/k8s-hooks/bake/sha256/"$hash" /var/cache/k8s-bake/sha256/"$hash"; do
        [ -f "$file" ] && [ "$(sha256sum <"$file")" = "$hash  -" ] && echo "$file" && return
    done
}

# render CLUSTER [SETTINGS]: what a master of it renders, with the releases' manifests; prints the directory
render() {
    mkdir -p "$work/$1"
    "$build/lab/cluster-view" "$1" master >"$work/$1.json" || return
    { echo "paths { opt = \"$work/opt\" }"; cat ${2:+"$2"} </dev/null; } >"$work/$1.conf"
    "$build/bin/k8s-master" render --root "$work/$1" --config "$work/$1.conf" --metadata "$work/$1.json" >"$work/log" 2>&1 || cat "$work/log" >&2
}

cp -r tests/golden/opt "$work/opt"
releases=yes
for name in flannel hostnic; do
    file=$(pinned $name)
    if [ -n "$file" ]; then
        cp "$file" "$work/opt/manifests/$name.yaml"
    else
        releases=
    fi
done
# check NAME TYPE PATH: complaints, also when TYPE is not named there at all
check() {
    local printed
    printed=$(python3 tests/integration/bake/cni_types.py "$packaged" "$2" 2>&1) || echo "$printed"
    grep 'nothing brings' <<<"$printed"
    grep -q ": $1\$" <<<"$printed" || echo "$1 is not among: $printed"
}
render ssd-nodes tests/golden/bridge.conf
result "bridge: its plugins are in Debian's package" "$(check bridge "$work/ssd-nodes/etc/cni/net.d/10-bridge.conflist")"
if [ -n "$releases" ]; then
    render three-logs
    result "flannel: its plugins are in Debian's package or installed by its pods" "$(
        check flannel "$work/three-logs/data/kubernetes/hooks/addons/flannel.yaml")"
    render hostnic
    result "hostnic: its plugin is installed by its pods" "$(check hostnic "$work/hostnic/data/kubernetes/hooks/addons/hostnic.yaml")"
    sed '/name: install-cni-plugin/,/name: install-cni$/{/flannel$/d}' "$work/three-logs/data/kubernetes/hooks/addons/flannel.yaml" >"$work/without.yaml"
    result "a plugin that nothing installs is found" "$(printed=$(check flannel "$work/without.yaml")
        [[ $printed == *"flannel: nothing brings"* ]] || echo "found: $printed")"
else
    skipped "flannel and hostnic" "the manifests that image.lock pins are not at hand: set UPSTREAM"
fi
finish
