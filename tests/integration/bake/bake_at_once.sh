#!/bin/bash
# Two bakes on one cache at once, and what a bake that was killed leaves there. Needs root and Debian's archive.
set -uo pipefail
. tests/integration/tap.bash
needs_bakes "bakes on one cache"
bake=$PWD/${BUILD:-build}/bin/k8s-bake
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
cd "$work" || exit 1

conf() { # conf ARCHIVE
    cat <<X
kubernetes = "v1.20.2"
packages = {"adduser"}
artifact "pack" {
    file = "$1"
    built = true
    to = "/opt/pack"
    unpack = true
}
X
}
mkdir tree && echo one >tree/one && tar -C tree -czf small.tar.gz one
head -c 500M /dev/zero >tree/zeros && tar -C tree -cf large.tar zeros && rm tree/zeros
conf small.tar.gz >image.conf
conf large.tar >large.conf

# bake_of CONF [OPTION...]: the output, and the status in $status
bake_of() {
    output=$("$bake" --conf "$1" --cache cache "${@:2}" 2>&1)
    status=$?
}
contents() { (cd "$1" && find . -not -type d -printf '%P %m %s %l\n' | grep -v '^var/lib/k8s-bake' | sort); }

# --- a base system that neither has
for i in 1 2; do
    "$bake" --conf image.conf --cache cache --root "root$i" >"log$i" 2>&1 &
    jobs[i]=$!
done
for i in 1 2; do
    wait "${jobs[i]}"
    result "bake $i of two at once ends well" "$(status=$? output=$(cat "log$i") && expect 0 "is baked")"
done
result "one of them makes the base system, the other waits for it" "$(
    [ "$(cat log1 log2 | grep -c ' packages and what they need')" = 1 ] || cat log1 log2
    grep -q 'waiting for another k8s-bake' log1 log2 || cat log1 log2)"
result "both have all of it" "$(diff <(contents root1) <(contents root2)
    [ -e root1/usr/sbin/adduser ] && [ "$(cat root1/opt/pack/one root2/opt/pack/one)" = $'one\none' ] || ls root1 root2)"
result "the cache holds no part" "$(find cache -name '*.part' -o -path 'cache/unpack/*')"

# --- killed while it unpacks
"$bake" --conf large.conf --cache cache --root root1 >log 2>&1 &
killed=$!
# ahead of whatever else runs: on a loaded machine it would come when all is unpacked
mkfifo never && exec 9<>never
nice -n -20 bash -c 'until compgen -G "cache/unpack/*" >/dev/null || ! kill -0 "$1"; do read -r -t 0.01 -u 9; done
    kill -KILL "$1"' bash $killed 2>/dev/null
exec 9<&-
wait $killed 2>/dev/null
: >cache/base/dead.tar.part && mkdir -p cache/images && : >cache/images/dead.tar.part
result "a killed bake leaves its unpacked files" "$(compgen -G 'cache/unpack/*' >/dev/null || cat log)"
bake_of image.conf --root root2
result "the next bake removes it" "$(expect 0 "nothing to do"
    find cache -name '*.part' -o -path 'cache/unpack/*')"
bake_of large.conf --root root1
result "the root of the killed one is finished" "$(expect 0 "artifact pack"
    [ "$(stat -c %s root1/opt/pack/zeros)" = 524288000 ] || ls -l root1/opt/pack)"

# --- a bake that is running
mkdir -p cache/unpack/other.x1
flock --shared cache/lock/unpack "$bake" --conf image.conf --cache cache --root root2 >log 2>&1
result "files that another bake unpacks are kept" "$(ls -d cache/unpack/other.x1 2>&1 >/dev/null)"
bake_of image.conf --root root2
result "without it, it does not" "$(expect 0; ls -d cache/unpack/other.x1 2>/dev/null)"
exec {lock}>"cache/lock/$(printf %s "$work/root2" | sha256sum | cut -d' ' -f1)"
flock "$lock"
bake_of image.conf --root "$work/root2"
result "a root that another bake is running on is refused" "$(expect 20 "another k8s-bake is running on $work/root2")"
finish
