#!/bin/bash
# Bakes small roots: what goes in, that nothing goes in unverified or half, that a killed bake goes on. Needs root and
# Debian's archive; what it installs is kept for the next run.
set -uo pipefail
shopt -s extglob
. tests/integration/tap.bash
bake=$PWD/${BUILD:-build}/bin/k8s-bake
kept=/var/cache/k8s-hooks/bake-test
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

needs_bakes "bakes"

mkdir -p "$work/overlay/etc/systemd/system" "$work/overlay/usr/local/bin" "$work/tree/pack-1.0"
cp image/overlay/etc/default/grub.d/99-k8s-hooks.cfg "$work/grub.cfg"
cd "$work" || exit 1
cat >overlay/etc/systemd/system/thing.service <<'X'
[Service]
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
X
cp overlay/etc/systemd/system/thing.service overlay/etc/systemd/system/other.service
# ends the bake that runs it, the first time
cat >overlay/usr/local/bin/once <<'X'
#!/bin/sh
[ -e /once ] || { : >/once && kill -KILL "$PPID"; }
echo "kind: List"
X
chmod +x overlay/usr/local/bin/once
echo one >tree/pack-1.0/one && echo two >tree/pack-1.0/two && tar -C tree -czf pack.tar.gz pack-1.0
printf '#!/bin/sh\necho program\n' >program
hash_of() { sha256sum "$1" | cut -d' ' -f1; }

conf() {
    cat <<X
kubernetes = "v1.20.2"
packages = {"systemd", "libconfuse2", "libcurl4", "libjansson4"}
overlay = {"overlay"}
sysctl = {"vm.max_map_count = 262144"}
modules = {"overlay"}
artifact "program" {
    file = "program"
    sha256 = "$(hash_of program)"
    to = "/usr/local/bin/program"
    mode = "0755"
}
artifact "pack" {
    file = "pack.tar.gz"
    built = true
    to = "/opt/pack"
    unpack = true
    strip = 1
    members = {"pack-1.0/one"}
}
image "fluent-bit" {
    reference = "docker.io/fluent/fluent-bit:1.8.15"
    preload = false
}
user "agent" { uid = 345 }
unit "thing.service" { state = "disabled" }
unit "systemd-timesyncd.service" {
    state = "disabled"
    optional = true
}
unit "getty@.service" { state = "masked" }
unit "other.service" { state = "enabled" }
user "keeper" { groups = {"adm"} }
limits = {"* soft nofile 65536"}
clean = {"/usr/share/common-licenses/GFDL*"}
X
}
# bake_of CONF [OPTION...]: the output, and the status in $status
bake_of() {
    local conf=$1
    shift
    output=$("$bake" --conf "$conf" --cache "$kept" "$@" 2>&1)
    status=$?
}
listing() { find "$1" -not -path '*/var/lib/k8s-bake*' -not -type d -printf '%P %m %U %T@ %s %l\n' | sort; }

conf >image.conf

# --- from nothing
bake_of image.conf base
result "the base system is made for later" "$(expect 0 "$kept/base/")"
bake_of image.conf --root root --offline
result "a root is made of it, without network" "$(expect 0 "is baked")"
if [ "$status" != 0 ]; then
    finish
    exit
fi
result "an artifact is there with its mode" "$([ "$(stat -c %a root/usr/local/bin/program)" = 755 ] || ls -l root/usr/local/bin)"
result "only the named members of an archive are" "$([ "$(ls root/opt/pack)" = one ] || ls -R root/opt)"
result "settings are" "$(grep -qx 'vm.max_map_count = 262144' root/etc/sysctl.d/90-kubernetes.conf || echo none)"
result "limits are" "$(grep -qx '\* soft nofile 65536' root/etc/security/limits.d/90-kubernetes.conf || echo none)"
result "modules are" "$(grep -qx overlay root/etc/modules-load.d/kubernetes.conf || echo none)"
result "users are, with their groups" "$(grep -q '^agent:x:345:' root/etc/passwd && grep -q '^adm:.*keeper' root/etc/group ||
    cat root/etc/passwd root/etc/group)"
result "what clean names is removed" "$(ls root/usr/share/common-licenses/GFDL* 2>/dev/null)"
result "a masked unit is masked, a disabled one not wanted, an enabled one is" \
    "$([ "$(readlink root/etc/systemd/system/getty@.service)" = /dev/null ] &&
        [ ! -e root/etc/systemd/system/multi-user.target.wants/thing.service ] &&
        [ -L root/etc/systemd/system/multi-user.target.wants/other.service ] || ls -R root/etc/systemd/system)"
result "versions.json names images with underscores" \
    "$(jq -e '.images.fluent_bit == "docker.io/fluent/fluent-bit:1.8.15" and .kubeadm_api == "v1beta2"' \
        root/opt/kubernetes/versions.json 2>&1 | grep -v true)"
result "the manifest is CycloneDX with every package, and hashes of artifacts" \
    "$(jq -e --arg hash "$(hash_of program)" --argjson n "$(dpkg-query --admindir=root/var/lib/dpkg -W | wc -l)" '
        .bomFormat == "CycloneDX" and .specVersion == "1.4" and (.serialNumber | test("^urn:uuid:[0-9a-f-]{36}$"))
        and ([.components[] | select(.type == "library")] | length == $n)
        and any(.components[]; .name == "program" and .hashes[0] == {"alg": "SHA-256", "content": $hash})' \
        root/opt/kubernetes/image-manifest.json 2>&1 | grep -v true)"
result "show prints it" "$(grep -q '^artifact program ' <<<"$("$bake" show root)" || echo none)"
result "nothing that must not be in an image is" "$("$bake" scan root 2>&1)"
result "no file of the bake itself is left" "$(find root -name '*k8s-bake*' -not -path 'root/var/lib/k8s-bake')"

# --- again
listing root >before
bake_of image.conf --root root
result "a second bake changes nothing and reports it" "$(expect 0 "is up to date: nothing to do")"
listing root >after
result "and touches nothing" "$(diff before after)"
bake_of image.conf --root root --offline
result "it needs no network" "$(expect 0)"

# --- in place: the root as a system of its own, which somebody has used. It has no /proc, without which the sanitizers end a
# program, and one that counts its lines leaves files in it: the plain build does it.
mkdir root/src && cp -r image.conf overlay program pack.tar.gz root/src &&
    cp "${bake/build-@(asan|coverage)/build}" root/src/k8s-bake
echo 'secret' >root/root/.bash_history && echo 'identity' >root/etc/machine-id && rm root/usr/local/bin/program
output=$(chroot root /src/k8s-bake --in-place --conf /src/image.conf 2>&1)
status=$?
result "it is baked in place" "$(expect 0 "artifact program")"

# named COMMAND: a bake in place, as with the release's overlay, where update-grub is COMMAND
named() {
    printf '#!/bin/sh\necho run >>/boot/grub/runs\n%s\n' "$1" >root/usr/sbin/update-grub && chmod +x root/usr/sbin/update-grub
    output=$(chroot root /src/k8s-bake --in-place --conf /src/image.conf 2>&1)
    status=$?
}
mkdir -p root/etc/default/grub.d root/boot/grub && cp grub.cfg root/etc/default/grub.d/99-k8s-hooks.cfg
output=$(chroot root /src/k8s-bake --in-place --conf /src/image.conf 2>&1)
status=$?
result "without GRUB it warns that the first interface has to be eth0" "$(expect 0 "no /usr/sbin/update-grub" "net.ifnames=0")"
named 'echo "no such device" >&2; exit 3'
result "an update-grub that fails fails the bake" \
    "$(expect 17 "the kernel's command line with net.ifnames=0: update-grub: exit status 3" "no such device")"
named 'echo "linux /vmlinuz quiet" >/boot/grub/grub.cfg'
result "so does one after which the kernel is not told the name" "$(expect 3 "has no net.ifnames=0 after update-grub")"
write='. /etc/default/grub.d/99-k8s-hooks.cfg && echo "linux /vmlinuz $GRUB_CMDLINE_LINUX" >/boot/grub/grub.cfg'
named "$write"
result "GRUB's configuration is made anew with net.ifnames=0" \
    "$(expect 0 && grep -q '^linux .* net.ifnames=0 biosdevname=0$' root/boot/grub/grub.cfg || cat root/boot/grub/grub.cfg)"
named "$write"
result "and once" "$(expect 0; wc -l <root/boot/grub/runs | grep -vx 3)"
rm -r root/src root/usr/sbin/update-grub root/etc/default/grub.d root/boot/grub
result "files that a use of the root left are removed" "$(diff before <(listing root))"
result "the cache is not left in it" "$(ls -d root/var/cache/k8s-bake 2>/dev/null)"

# --- changed
printf '#!/bin/sh\necho changed\n' >program
bake_of image.conf --root root
result "a changed file is refused: line, artifact, expected, found" \
    "$(expect 25 "image.conf:7: artifact program" "expected " "found $(hash_of program)")"
listing root >after
result "and the root is as it was" "$(diff before after)"
conf | sed 's/^artifact "pack"/artifact "pack2"/; s,/opt/pack,/opt/pack2,' >image.conf
bake_of image.conf --root root
result "a changed artifact is placed again, a removed one is deleted" "$(expect 0 "artifact pack2" "removed artifact pack")"
result "nothing else is" "$(grep -E 'overlay|sysctl|unit|user' <<<"$output")"
result "the files say so" \
    "$([ "$(root/usr/local/bin/program)" = changed ] && [ ! -e root/opt/pack/one ] && [ -e root/opt/pack2/one ] || ls -R root/opt)"

# --- half
conf >image.conf
cat >>image.conf <<'X'
manifest "list" { command = {"/usr/local/bin/once"} }
X
bake_of image.conf --root killed
result "a bake that is killed" "$(expect 137)"
bake_of image.conf --root killed
result "a killed bake continues where it was" "$(expect 0 "manifest list" | sed '/^$/d'; grep -E 'artifact|overlay|packages' <<<"$output")"
result "and the list it was writing is whole" "$([ "$(cat killed/opt/kubernetes/manifests/list.yaml)" = "kind: List" ] || echo no)"

# --- refused
conf | sed '/sha256/d' >unpinned.conf
bake_of unpinned.conf --root none
result "an artifact without a pin stops the bake" "$(expect 25 "unpinned.conf:7: artifact program from program" "--update-lock"
    [ ! -e none ] || echo "there is a root")"
bake_of unpinned.conf --update-lock
result "--update-lock pins it" "$(expect 0 "pinned artifact program: $(hash_of program)"
    jq -e --arg hash "$(hash_of program)" '[.artifacts[]] == [$hash]' image.lock >/dev/null || cat image.lock)"
bake_of unpinned.conf --root pinned
result "then it is baked" "$(expect 0)"
mkdir other && : >other/file
bake_of image.conf --root other
result "a directory of somebody else is refused" "$(expect 2 "k8s-bake did not make"; [ -e other/file ] || echo gone)"
conf | sed 's/"systemd"/"no-such-package"/' >wrong.conf
bake_of wrong.conf --root none
result "a missing package is named, with the line" "$(expect 17 "wrong.conf:2: packages" no-such-package
    [ ! -e none ] || echo "there is a root")"
bake_of wrong.conf --root none --offline
result "a package absent from the cache is an error with --offline" "$(expect 15 "wrong.conf:2" "--offline")"
echo 'not a tar' >pack.tar.gz
bake_of image.conf --root killed
result "a broken archive is refused" "$(expect 17 "image.conf:13: artifact pack")"
result "and the existing root is unchanged" "$([ -e killed/opt/pack/one ] || ls -R killed/opt)"
tar -C tree -czf pack.tar.gz pack-1.0

finish
