#!/bin/bash
# The Packer template, by Packer: both its ways are valid, and the one for a VM that runs bakes in place over ssh. The VM is a
# root of its own with an sshd in it. Needs root and Debian's archive.
set -uo pipefail
. tests/integration/tap.bash
for program in packer mmdebstrap; do
    if [ "$(id -u)" != 0 ] || ! command -v $program >/dev/null; then
        skipped "the Packer template" "needs root and $program"
        finish
        exit
    fi
done
# mounts and processes of its own, which end with it
[ -n "${OWN:-}" ] || OWN=yes exec unshare --mount --pid --fork --kill-child --mount-proc "$0"

bake=$PWD/build/bin/k8s-bake
work=$(mktemp -d)
root=$work/vm
export HOME=$work CHECKPOINT_DISABLE=1
trap 'umount --recursive --lazy "$root/proc"; umount --recursive --lazy "$root/dev"; rm -rf --one-file-system "$work"' EXIT
ssh-keygen -q -t ed25519 -N '' -f "$work/key"

cat >"$work/base.conf" <<'C'
kubernetes = "v1.20.2"
packages = {"systemd", "openssh-server", "sudo"}
C
said=$("$bake" --conf "$work/base.conf" --cache /var/cache/k8s-hooks/bake-test --root "$root" 2>&1)
result "a base system is made" "$([ $? = 0 ] || echo "$said")"
cat >"$root/srv/image.conf" <<'C'
include("/tmp/k8s-hooks/image/image.conf")
packages = {"systemd", "openssh-server", "sudo", "libconfuse2", "libcurl4", "libhttp-parser2.9", "libjansson4", "libsystemd0", "libyaml-0-2"}
leave-out = {"artifact *", "manifest *", "image *", "unit *"}
C
mkdir -p "$root/root/.ssh" "$root/run/sshd" && cp "$work/key.pub" "$root/root/.ssh/authorized_keys"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev" && mount -t proc proc "$root/proc"
chroot "$root" ssh-keygen -A >/dev/null
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
chroot "$root" /usr/sbin/sshd -e -o ListenAddress="127.0.0.1:$port" -o UsePAM=no 2>"$work/sshd.log"
result "its sshd runs" "$([ $? = 0 ] || cat "$work/sshd.log")"

cd image/packer || exit 1
mkdir -p "$work/files/cidata" && cp k8s-node.pkr.hcl "$work/files" && : >"$work/files/cidata/meta-data" && : >"$work/files/cidata/user-data"
running=(-only=null.vm -var ssh_host=127.0.0.1 -var "ssh_port=$port" -var ssh_username=root -var "ssh_private_key_file=$work/key"
    -var conf=/srv/image.conf)
said=$(packer validate "${running[@]}" k8s-node.pkr.hcl 2>&1)
result "valid for a VM that runs" "$([ $? = 0 ] || echo "$said")"
said=$(cd "$work/files" && packer validate -only=qemu.node -var base_url=https://cloud.debian.org/base.qcow2 \
    -var base_sha512="$(sha512sum </dev/null | cut -d' ' -f1)" -var "ssh_private_key_file=$work/key" k8s-node.pkr.hcl 2>&1)
result "valid for a cloud image under qemu" "$([ $? = 0 ] || echo "$said")"
said=$(packer validate -only=null.vm -var ssh_host=127.0.0.1 -var ssh_private_key_file=/nonexistent k8s-node.pkr.hcl 2>&1)
result "not without a key" "$([[ $? != 0 && $said == *ssh_private_key_file* ]] || echo "$said")"

said=$(timeout 600 packer build -color=false "${running[@]}" k8s-node.pkr.hcl 2>&1)
result "it bakes the VM in place" "$([[ $? = 0 && $said == *"/ is baked"* ]] || echo "$said")"
result "the hooks are there" "$(chroot "$root" k8s-node --version >/dev/null 2>&1 || chroot "$root" k8s-node --version 2>&1)"
result "and the image's settings" "$(grep -qx 'net.ipv4.ip_forward = 1' "$root/etc/sysctl.d/90-kubernetes.conf" || echo none)"
result "nothing of the bake is" "$(ls -d "$root"/tmp/k8s-hooks* "$root/var/cache/k8s-bake" "$root/usr/bin/skopeo" 2>/dev/null)"
result "nor of this machine" "$("$bake" scan "$root" 2>&1)"
finish
