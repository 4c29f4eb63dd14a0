#!/bin/bash
# Files of image/overlay, given to the program they are for.
set -uo pipefail
. tests/integration/tap.bash
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
overlay=$PWD/image/overlay

# --- GRUB: grub-mkconfig sources /etc/default/grub, then what is in grub.d, with sh
cmdline=$(cd "$overlay/etc/default" && GRUB_CMDLINE_LINUX=quiet sh -euc 'for f in grub.d/*.cfg; do . "./$f"; done; echo "$GRUB_CMDLINE_LINUX"')
result "GRUB starts a captured VM with eth0, and keeps what the VM has" "$([ "$cmdline" = "quiet net.ifnames=0 biosdevname=0" ] || echo "$cmdline")"
result "udev renames no interface: its own policy is replaced" "$(
    [ -e "$overlay/etc/systemd/network/99-default.link" ] || echo "no 99-default.link"
    grep -nE '^(NamePolicy|Name)=' "$overlay"/etc/systemd/network/*.link)"

# --- systemd-udevd: in a network namespace of its own, with the .link files below /run
cat >"$work/links" <<'X'
mount -t tmpfs none /run && mkdir -p /run/udev /run/systemd/network && mount -t sysfs none /sys || exit
for file in "$@"; do cp "$file" /run/systemd/network || exit; done
ip link add flannel.1 type vxlan id 1 dstport 8472 || exit
ip link add cni0 type bridge || exit
ip link add docker0 type bridge || exit
ip link add veth0123 type veth peer name cali4567 || exit
for name in flannel.1 cni0 docker0 veth0123 cali4567; do
    made=$(cat /sys/class/net/$name/address)
    udevadm test-builtin net_setup_link /sys/class/net/$name >/dev/null 2>&1
    now=$(cat /sys/class/net/$name/address)
    [ "$made" = "$now" ] && echo "$name kept" || echo "$name changed"
done
X
kept='flannel.1 kept cni0 kept docker0 kept veth0123 kept cali4567 kept'
default=/lib/systemd/network/99-default.link
if [ "$(id -u)" = 0 ] && command -v udevadm >/dev/null && [ -e $default ] && unshare -mn true 2>/dev/null; then
    found=$(unshare -mn bash "$work/links" $default 2>&1 | xargs)
    result "Debian's own .link file changes addresses, which this test is about" "$([ "$found" = "${kept//kept/changed}" ] || echo "$found")"
    found=$(unshare -mn bash "$work/links" $default "$overlay"/etc/systemd/network/*.link 2>&1 | xargs)
    result "with the image's, interfaces of pods keep the MAC address they were made with" "$([ "$found" = "$kept" ] || echo "$found")"
else
    skipped "interfaces of pods keep their MAC address" "needs root and udev"
fi
finish
