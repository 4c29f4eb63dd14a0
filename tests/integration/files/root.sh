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
    output=$(timeout 300 "$build/bin/k8s-$1" "${@:2}" --root "$root" --config "$work/hook.conf" --metadata "$work/$1.json" 2>&1)
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

jq '.env.keep_log_days = "7"' "$work/master.json" >"$work/changed.json"
cp "$work/changed.json" "$work/master.json"
hook master reload
result "a changed keep_log_days deletes no logs of a cluster that runs" "$(expect 16 "no logs are deleted")"

# what is read: a certificate of the machine that a link in the root names is not the root's
openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out "$outside/pki/ca.crt" -days 5 -subj /CN=outside 2>/dev/null
mkdir -p "$root$outside/kubernetes/pki"
ln -s "$outside/pki/ca.crt" "$root$outside/kubernetes/pki/ca.crt"
hook master tab certificates
result "nothing outside is read" "$(grep -o 'CN=outside\|in [0-9]* days' <<<"$output")"
mkdir -p "$root$outside/pki" && cp "$outside/pki/ca.crt" "$root$outside/pki/"
hook master tab certificates
result "the same link inside is followed" "$(expect 0 /etc/kubernetes/pki/ca.crt)"

# each directory and each file that render writes is a link out of the root, of each kind there is
seed() { # what lies outside, at the same places; to be found unchanged
    rm -rf "$work/escape" && mkdir -p "$work/escape/root" "$work/escape/outside" "$work/escape/elsewhere"
    cp -a "$work/clean/." "$work/escape/outside"
    (cd "$work/escape/outside" && tee -a "${files[@]}" <<<outside >/dev/null)
}
target() { # target KIND PATH: what a link at PATH of the root says to lead to PATH outside, and what else that needs
    local up
    case $1 in
    absolute) echo "$work/escape/outside/$2" ;;
    relative) up=$(tr -cd / <<<"$2" | sed 's|/|../|g') && echo "${up}../outside/$2" ;;
    "above the root") echo "/../../../../../../../../..$work/escape/outside/$2" ;;
    chain)
        up=$work/escape/elsewhere/$(tr / _ <<<"$2")
        ln -s "$work/escape/outside/$2" "$up"
        ln -sfn "$up" "$work/escape/root/by-$(tr / _ <<<"$2")"
        echo "/by-$(tr / _ <<<"$2")"
        ;;
    esac
}
plant() { # plant KIND PATH...: links at PATHs of the root
    local kind=$1 path
    for path in "${@:2}"; do
        mkdir -p "$work/escape/root/${path%/*}"
        ln -s "$(target "$kind" "$path")" "$work/escape/root/$path"
    done
}
render() {
    output=$(timeout 300 "$build/bin/k8s-master" render --root "$1" --config "$work/hook.conf" --metadata "$work/master.json" 2>&1)
    status=$?
}
sums() {
    (cd "$work/escape/outside" && find . -printf '%p %y %m %T@\n' | sort && find . -type f -exec cat {} + | sha256sum)
}
mkdir "$work/clean"
render "$work/clean"
mapfile -t files < <(cd "$work/clean" && find . -type f -printf '%P\n')
# the directories nearest to the root that hold files
mapfile -t directories < <(printf '%s\n' "${files[@]%/*}" | sort -u | awk 'index($0, last "/") != 1 { print; last = $0 }')
for kind in absolute relative "above the root" chain; do
    for what in directories files; do
        seed
        paths=("${files[@]}")
        [ "$what" = files ] || paths=("${directories[@]}")
        plant "$kind" "${paths[@]}"
        before=$(sums)
        render "$work/escape/root"
        complaint=$(expect 0)$(diff <(echo "$before") <(sums))
        render "$work/escape/root"
        result "${#paths[@]} $what that are links ($kind): written inside, found there again" "$complaint$(
            expect 0 " 0 files written"
        )$([ ${#paths[@]} -ge 5 ] || echo "only ${#paths[@]} $what: ${paths[*]}")"
    done
done

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
