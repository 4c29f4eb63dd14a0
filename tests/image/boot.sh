#!/bin/bash
# A disk that image/image.conf makes, booted in a virtual machine without KVM: login prompt, a healthy system, and the hooks
# running in it. What must be fetched from elsewhere is left out.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
build=${build%% *}
cache=/var/cache/k8s-hooks
minutes=12
work=$(mktemp -d)
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT

for program in mmdebstrap qemu-system-x86_64 qemu-img; do
    if [ "$(id -u)" != 0 ] || ! command -v $program >/dev/null; then
        skipped "a disk boots" "needs root and $program"
        finish
        exit
    fi
done

leave_out='"artifact app-agent", "artifact helm", "artifact istioctl", "manifest *", "image *"'
cat >"$work/image.conf" <<X
include("$PWD/image/image.conf")
leave-out = {$leave_out}
overlay += {"$work/probe"}
unit "probe.service" { state = "enabled" }
X

mkdir -p "$work/probe/etc/systemd/system" "$work/probe/opt/probe"
echo 'kubernetes = "v1.20.2" packages = {"systemd"} sysctl = {"vm.swappiness = 2"}' >"$work/probe/opt/probe/image.conf"
"$build/lab/cluster-view" three-logs node >"$work/probe/opt/probe/node.json" || exit 1
cat >"$work/probe/etc/systemd/system/probe.service" <<'X'
[Service]
Type=exec
ExecStart=/opt/probe/probe
[Install]
WantedBy=multi-user.target
X
cat >"$work/probe/opt/probe/probe" <<'X'
#!/bin/sh
# each word opens the line anew: the login prompt hangs up whoever had it open before
say() { printf '\nPROBE %s=%s;\n' "$1" "$(echo "$2" | tr '\n' ' ' | sed 's/ *$//')" >/dev/ttyS0; }
systemctl start network-online.target
say system "$(systemctl is-system-running --wait)"
say failed "$(systemctl --failed --plain --no-legend | cut -d' ' -f1)"
say disabled "$(systemctl is-enabled docker.service kubelet.service)"
say idle "$(systemctl is-active docker.service kubelet.service)"
say root "$(df -BM --output=size / | tail -1 | tr -dc 0-9)"
say swap "$(swapon --noheadings --show=NAME)"
say address "$(ip -4 -o addr show eth0 | grep -o 'inet [0-9.]*')"
say other "$(ip -4 -o addr show eth1 | wc -l) $(cat /sys/class/net/eth1/operstate)"
say sshd "$(sshd -T | grep -E '^(passwordauthentication|clientaliveinterval) ')"
say hostkeys "$(ls /etc/ssh/ssh_host_*_key | wc -l)"
say identity "$(tr -d '\n' </etc/machine-id | wc -c)"
say zone "$(date +%Z)"
say consoles "$(cat /sys/class/tty/console/active; systemctl is-active getty@tty1.service serial-getty@ttyS0.service)"
say lacking "$(for p in docker kubelet kubeadm kubectl etcdctl conntrack ipset /usr/lib/cni/bridge k8s-master k8s-log k8s-client \
    k8s-hook; do command -v $p >/dev/null || echo $p; done)"
say modules "$(for m in overlay br_netfilter nf_conntrack ip_vs ip_vs_rr; do [ -e /sys/module/$m ] || echo $m; done)"
say clock "$(systemctl is-active systemd-timesyncd.service; systemctl is-enabled logrotate.timer)"
say journal "$(systemd-analyze cat-config systemd/journald.conf | grep ^SystemMaxUse)"
say format "$(journalctl --header | sed -n 's/^Incompatible flags: *//p' | tr ' ' '\n' | sort -u)"
say written "$(journalctl --quiet --lines=1 --output=cat | wc -l)"
ip link add flannel.1 type vxlan id 1 dstport 8472 dev eth0 && made=$(cat /sys/class/net/flannel.1/address) && udevadm settle
say vxlan "$([ "$made" = "$(cat /sys/class/net/flannel.1/address)" ] && networkctl status flannel.1 | sed -n 's/^ *State: *//p')"
say agent "$(ls /etc/confd/conf.d | wc -l)"
say pods "$(sysctl -n net.ipv4.conf.all.rp_filter fs.inotify.max_user_instances)"
say forward "$(sysctl -n net.ipv4.ip_forward vm.max_map_count net.bridge.bridge-nf-call-iptables)"
say render "$(k8s-node render --root /tmp/rendered --metadata /opt/probe/node.json >/tmp/log 2>&1; echo "status $?"; tail -2 /tmp/log)"
say kubelet "$(grep -o -- '--hostname-override=[^ ]*' /tmp/rendered/etc/systemd/system/kubelet.service.d/10-k8s-hooks.conf)"
# as a developer who captures a running machine
rm -r /var/lib/k8s-bake/state.json /tmp/rendered
say bake "$(k8s-bake --in-place --conf /opt/probe/image.conf >/tmp/log 2>&1; echo "status $?"; tail -3 /tmp/log)"
systemctl poweroff
X
chmod +x "$work/probe/opt/probe/probe"

make -s B="$build" install DESTDIR="$work/suite" >"$work/log" 2>&1 &&
    "$build/bin/k8s-bake" --conf "$work/image.conf" --set suite="$work/suite" --cache $cache/bake \
        --output "$work/image.qcow2" >>"$work/log" 2>&1
result "a disk is made" "$([ -e "$work/image.qcow2" ] || cat "$work/log")"
result "its manifest lies beside it" "$(grep -q '^package linux-image' <<<"$("$build/bin/k8s-bake" show "$work/image.qcow2")" || echo none)"
qemu-img create -q -f qcow2 -b "$work/image.qcow2" -F qcow2 "$work/disk.qcow2" 14G

# until it powers off
exec {serial}< <(exec timeout --kill-after=10 ${minutes}m qemu-system-x86_64 -M q35 -accel tcg,thread=multi -m 1024 -smp 2 \
    -display none -nodefaults -no-reboot -device virtio-rng-pci -nic user,model=virtio-net-pci -nic user,model=virtio-net-pci \
    -drive "file=$work/disk.qcow2,if=virtio,format=qcow2,cache=unsafe" -serial stdio </dev/null 2>"$work/qemu.log")
machine=$!
prompt='' said=''
while IFS= read -r -d : -u "$serial" part; do
    part=$(tr -d '\000\r' <<<"$part")
    said+=$part:
    [[ $part == *" login" ]] && prompt=yes
done 2>/dev/null

probe() { sed -n "s/^PROBE $1=\(.*\);\$/\1/p" <<<"$said" | head -1; }
expect() { # expect DESCRIPTION PROBE PATTERN
    local found
    found=$(probe "$2")
    result "$1" "$([[ $said == *"PROBE $2="* && $found =~ ^$3$ ]] || echo "found: $found")"
}
result "it boots to a login prompt on the serial line" "$([ "$prompt" = yes ] && [[ $said == *"PROBE bake="* ]] || tail -n 40 <<<"$said"; cat "$work/qemu.log")"
expect "systemd reports running" system running
expect "no unit failed" failed ''
expect "Docker and the kubelet wait for AppCenter" disabled 'disabled disabled'
expect "and do not run" idle 'inactive inactive'
expect "the root file system grew to the disk" root '13[0-9][0-9][0-9]|14[0-9][0-9][0-9]'
expect "there is no swap" swap ''
expect "eth0 has an address by DHCP" address 'inet 10\.0\.2\.[0-9]+'
expect "another NIC is left alone" other '0 down'
expect "sshd keeps sessions and takes no passwords" sshd 'clientaliveinterval [1-9][0-9]* passwordauthentication no|passwordauthentication no clientaliveinterval [1-9][0-9]*'
expect "the machine made its own host keys" hostkeys '[1-9]'
expect "and its own identity" identity 32
expect "the time zone is UTC" zone UTC
expect "kernel settings are applied" forward '1 262144 1'
expect "those that pods need too" pods '2 8192'
expect "the consoles are the screen and the serial line" consoles 'tty0 ttyS0 active active'
expect "no program is missing" lacking ''
expect "no kernel module is" modules ''
expect "the clock is kept, logs are rotated" clock 'active enabled'
expect "the journal has its limit" journal 'SystemMaxUse=500M'
expect "the journal is in the format that readers in containers know" format ''
expect "and is written" written 1
expect "flannel's device keeps its MAC address and is nobody's" vxlan '.*unmanaged.*'
expect "the agent's resources are there" agent '[1-9][0-9]*'
expect "the hooks render the node's files" render 'status 0.*'
expect "with the node's name" kubelet '--hostname-override=node-1'
expect "it is baked in place" bake 'status 0.*'

captured() {
    qemu-img convert -O raw "$work/disk.qcow2" "$work/disk.raw" && mkdir "$work/mounted" &&
        mount -o ro,loop,offset=1048576 "$work/disk.raw" "$work/mounted" || return
    "$build/bin/k8s-bake" scan "$work/mounted"
    grep -qx 'vm.swappiness = 2' "$work/mounted/etc/sysctl.d/90-kubernetes.conf" || echo "the bake in place left nothing"
    umount "$work/mounted"
}
result "and what is captured after power-off holds nothing of this machine" "$(captured 2>&1)"
finish
