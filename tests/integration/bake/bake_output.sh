#!/bin/bash
# The same inputs give the same bytes, from nothing, and what differs is told. Needs root and Debian's archive.
set -uo pipefail
. tests/integration/tap.bash
bake=$PWD/${BUILD:-build}/bin/k8s-bake
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
cd "$work" || exit 1

needs_bakes "outputs"

mkdir overlay && for file in hello vmlinuz initrd.img; do echo $file >overlay/$file; done
cat >image.conf <<'X'
kubernetes = "v1.20.2"
packages = {"adduser", "grub-pc-bin"}
disk {
    packages = {"grub-pc-bin"}
    size = "1G"
}
overlay = {"overlay"}
artifact "a" {
    file = "image.conf"
    built = true
    to = "/opt/a"
}
user "agent" { }
X
sed 's/"a"/"b"/' image.conf >other.conf

# Two bakes that share nothing, at the same time. The kernel of the disk is none: it is not booted here.
export SOURCE_DATE_EPOCH=1700000000
jobs=()
for i in 1 2; do
    {
        "$bake" --conf image.conf --cache "cache$i" --output "image$i.tar.zst" &&
            "$bake" --conf image.conf --cache "cache$i" --output "image$i.qcow2"
    } >"log$i" 2>&1 &
    jobs+=($!)
done
printed=
for i in 1 2; do
    wait "${jobs[i - 1]}" || printed+=$(cat "log$i")
done
result "two bakes succeed" "$printed"
result "the same inputs give the same bytes" "$(cmp image1.tar.zst image2.tar.zst 2>&1)"
result "of a disk too" "$(cmp image1.qcow2 image2.qcow2 2>&1)"
qemu-img convert -O raw image1.qcow2 raw
result "its file system is whole" "$(e2fsck -fn 'raw?offset=1048576' >printed 2>&1 || cat printed)"
result "its partitions are the root, which can grow, and the loader" \
    "$(sfdisk --json raw | jq -e '[.partitiontable.partitions[].name] == ["root", "loader"]
        and .partitiontable.partitions[1].start < .partitiontable.partitions[0].start' | grep -v true)"
result "no time in it is later than SOURCE_DATE_EPOCH" \
    "$(tar --zstd --list --verbose --full-time --utc -f image1.tar.zst | awk '$4 " " $5 > "2023-11-14 22:13:20"' | head -3)"
result "the root of an output is not kept" "$(find . -maxdepth 1 -name '*.root')"
printed=$("$bake" --conf image.conf --cache cache1 --output image1.tar.zst 2>&1)
result "an output that is up to date is not made again" "$([[ $printed == *"is up to date: nothing to do"* ]] || echo "$printed")"
result "diff of equal images is empty" "$("$bake" diff image1.tar.zst image2.tar.zst)"

printed=$("$bake" --conf other.conf --cache cache1 --offline --output image2.tar.zst 2>&1) || echo "# $printed"
differences=$("$bake" diff image1.tar.zst image2.tar.zst)
result "diff of others has status 1" "$([ $? = 1 ] || echo no)"
result "and names what differs" "$([ "$(cut -d' ' -f1-3 <<<"$differences")" = $'- artifact a\n+ artifact b' ] || echo "$differences")"
printed=$("$bake" --conf image.conf --cache cache1 --output image.iso 2>&1)
result "the kind of an output is known by its name" "$([[ $? = 2 && $printed == *".tar.zst or .qcow2"* ]] || echo "$printed")"
finish
