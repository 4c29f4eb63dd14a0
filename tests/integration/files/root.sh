#!/bin/bash
# --root: links in the directory lead to places below it, and what acts on the running machine is refused.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root outside=$work/outside
echo "paths { opt = \"$PWD/tests/golden/opt\" }" >"$work/hook.conf"
for role in master node; do
    "$build/lab/cluster-view" three-logs $role >"$work/$role.json"
done

# hook ROLE WORD...: under the root; sets status and output
hook() {
    output=$(timeout 60 "$build/bin/k8s-$1" "${@:2}" --root "$root" --config "$work/hook.conf" --metadata "$work/$1.json" 2>&1)
    status=$?
}

mkdir -p "$root/etc" "$root/var/lib" "$outside/kubernetes" "$outside/state" "$outside/pki"
ln -s "$outside/kubernetes" "$root/etc/kubernetes"
ln -s "$outside/state" "$root/var/lib/k8s-hooks"
ln -s "$outside/docker" "$root/etc/docker"
hook master render
result "render writes below the root" "$(expect 0)$(test -f "$root$outside/kubernetes/kubeadm.yaml" || find "$root" -name 'kube*')"
result "a link to an absent path, too" "$(test -f "$root$outside/docker/daemon.json" || find "$root" -name 'daemon*')"
result "nothing outside is written" "$(find "$outside" -type f -o -path "$outside/docker")"

touch "$root$outside/state/files-written" 2>/dev/null || { mkdir -p "$root$outside/state" && touch "$root$outside/state/files-written"; }
jq '.env.max_pods = "77"' "$work/node.json" >"$work/changed.json"
cp "$work/changed.json" "$work/node.json"
hook node reload
result "reload writes its state below the root" "$(test -f "$root$outside/kubernetes/kubelet.yaml" || echo "$output")$(
    find "$outside" -type f)"

# what is read: a certificate of the machine that a link in the root names is not the root's
openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out "$outside/pki/ca.crt" -days 5 -subj /CN=outside 2>/dev/null
mkdir -p "$root$outside/kubernetes/pki"
ln -s "$outside/pki/ca.crt" "$root$outside/kubernetes/pki/ca.crt"
hook master tab certificates
result "nothing outside is read" "$(grep -o 'CN=outside\|in [0-9]* days' <<<"$output")"
mkdir -p "$root$outside/pki" && cp "$outside/pki/ca.crt" "$root$outside/pki/"
hook master tab certificates
result "the same link inside is followed" "$(expect 0 /etc/kubernetes/pki/ca.crt)"

tree() {
    find "$root" "$outside" -printf '%p %m %T@\n' | sort
}
before=$(tree)
for event in "init" "start" "stop" "restart" "destroy" "scale-in" "scale-out --check" "upgrade" "revive" "restore" "backup" \
    "delete_snapshot {\"name\":\"a\"}" "renew-certs" "prune-images" "prune-logs" "compact-etcd" "metadata" "monitor" "check" "backup --dry-run" \
    "prune-images --dry-run" "delete_snapshot {\"name\":\"a\"} --dry-run"; do
    # shellcheck disable=SC2086
    hook master $event
    result "$event is refused" "$(expect 2 "does not support --root")"
done
output=$("$build/bin/k8s-master" compact-etcd --dry-run --config "$work/hook.conf" --metadata "$work/master.json" 2>&1)
status=$?
result "--dry-run is refused where it is not supported" "$(expect 2 "does not support --dry-run")"
result "and touched nothing" "$(diff <(echo "$before") <(tree))"
finish
