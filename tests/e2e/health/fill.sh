#!/bin/sh
# fill.sh small: a small volume in the place of /data, with what is there. fill.sh full: an image that nobody uses, and
# then so much else that almost nothing is left.
set -e
case $1 in
small)
    mount -t tmpfs -o size=640m small /mnt
    cp -a /data/. /mnt/
    mount --bind /mnt /data
    ;;
full)
    head -c 200M /dev/urandom >/root/blob
    tar -C /root -c blob | docker import - unused:1
    rm /root/blob
    free=$(df --output=avail -k /data | tail -1)
    fallocate -l $((free - 8192))K /data/filling
    ;;
esac
