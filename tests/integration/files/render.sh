#!/bin/bash
# What `render`, `reload --diff` and `start --dry-run` print of a master's files and add-ons: all that changes, and no secret.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
echo "paths { opt = \"$PWD/tests/golden/opt\" }" >"$work/hook.conf"

# master EVENT OPTION...: what it prints is in $work/out, what it says in $work/log; prints a complaint when it fails
master() {
    "$build/bin/k8s-master" "$@" --root "$root" --config "$work/hook.conf" --metadata "$work/metadata.json" \
        >"$work/out" 2>"$work/log" || cat "$work/log"
}

secrets() {
    jq --raw-output '.env | .access_key_id, .secret_access_key, .dockerhub_password | select(. != null and . != "")' "$1"
}

# leaks: the secrets of both metadata files that are among what was printed or logged
leaks() {
    cat "$work/before.json" "$work/metadata.json" | secrets /dev/stdin | grep --only-matching --fixed-strings --file=- \
        "$work/out" "$work/log"
}

# shows WORD...: those that were not printed
shows() {
    local word
    for word; do
        grep --quiet --fixed-strings -e "$word" "$work/out" || echo "\"$word\" is not shown" 
    done
}

for cluster in three-logs hostnic private-registry; do
    "$build/lab/cluster-view" $cluster master | jq '.env += {dockerhub_username: "user", dockerhub_password: "old-pass-word"}' \
        >"$work/before.json"
    cp "$work/before.json" "$work/metadata.json"
    rm -rf "$root"
    result "$cluster: everything is new, and no secret is printed" "$(master render --diff && shows \
        '+++ add-on fluent-bit: ConfigMap kube-system/fluent-bit' '+++ add-on storage: DaemonSet kube-system/csi-qingcloud-node' \
        'add-on storage: Secret kube-system/csi-qingcloud: changed, not shown because it is secret' && leaks)"
    result "$cluster: the preview writes nothing" "$(find "$root" -type f ! -name lock 2>/dev/null)"
    result "$cluster: start --dry-run shows the same" "$(master start --dry-run && shows 'add-on fluent-bit: ' \
        '+++ add-on fluent-bit: ConfigMap kube-system/fluent-bit' && leaks)"
    result "$cluster: written below a root" "$(master render && find "$root" -path '*/addons/*' ! -perm 600 && leaks
        ls "$root"/data/kubernetes/hooks/addons/{fluent-bit,storage,prometheus}.yaml 2>&1 >/dev/null)"
    result "$cluster: and then nothing would change" "$(master render --diff && cat "$work/out" && leaks)"
    jq '.env += {access_key_id: "ZZZZZZZZZZYYYYYYYYYY", secret_access_key: "zzzzzzzzzzyyyyyyyyyyxxxxxxxxxxwwwwwwwwww",
        dockerhub_password: "new-pass-word", fluent_forward_server: "logs.example.com:4242"}' "$work/before.json" \
        >"$work/metadata.json"
    result "$cluster: a change is shown, and neither the old nor the new secret" "$(master render --diff && shows \
        '+              value: "logs.example.com"' '/root/.docker/config.json: changed, not shown because it is secret' \
        'add-on cloud-controller: Secret kube-system/cloud-controller-manager: changed, not shown because it is secret' \
        '--- add-on storage: DaemonSet kube-system/csi-qingcloud-node' && leaks)"
    result "$cluster: start --dry-run too" "$(master start --dry-run && shows '+              value: "logs.example.com"' &&
        leaks)"
    result "$cluster: reload --diff too" "$(mkdir -p "$root/var/lib/k8s-hooks" && touch "$root/var/lib/k8s-hooks/files-written" &&
        master reload --diff && shows 'would do: kubelet-restart' '/etc/qingcloud/client.yaml: changed' && leaks)"
done

# off a machine there is no image; on one it must be whole
echo "paths { opt = \"$work/opt\" }" >"$work/hook.conf"
rm -rf "$root"
result "render warns where there is no image" "$(master render
    grep --quiet '^warning: add-ons are left out: .*/versions.json' "$work/log" || cat "$work/log")"
result "and writes the rest" "$([ -e "$root/etc/hosts" ] && [ ! -e "$root/data/kubernetes/hooks/addons" ] || find "$root")"
mkdir -p "$work/opt" && cp tests/golden/opt/versions.json "$work/opt"
result "render names the add-on whose release manifest is absent" "$(master render
    grep --quiet '^warning: add-on storage is left out: its release manifest .*/csi.yaml' "$work/log" || cat "$work/log")"
result "and writes the others" "$(cd "$root/data/kubernetes/hooks/addons" && ls fluent-bit.yaml 2>&1 >/dev/null
    ls storage.yaml 2>/dev/null)"
result "start fails there" "$(master start --dry-run |
    grep --quiet 'the image brought no release manifest' || echo "no word of it")"

# the join token, which only those who join are told
"$build/lab/cluster-view" three-logs node >"$work/metadata.json"
cp "$work/metadata.json" "$work/before.json"
joins() {
    "$build/bin/k8s-node" render --diff --root "$work/node" --config "$work/hook.conf" --metadata "$work/metadata.json" \
        >"$work/out" 2>"$work/log" || cat "$work/log"
}
result "a node's files: no secret is printed either" "$(joins && shows 'kubeadm-join.yaml: changed, not shown because it is secret' \
    '/etc/hosts' && leaks)"
token=$(jq --raw-output '.hosts.master[].token | fromjson.bootstrap_token' "$work/metadata.json")
result "nor the join token" "$([ "${#token}" = 23 ] || echo "there is none: $token"
    grep --only-matching --fixed-strings -e "$token" -e "${token#*.}" "$work/out" "$work/log")"
finish
