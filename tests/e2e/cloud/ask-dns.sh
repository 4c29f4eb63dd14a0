# ask-dns.sh ADDRESS: the answer of the DNS server at ADDRESS about kube-dns.kube-system.svc.cluster.local, over UDP, as
# hexadecimal digits. Bash writes at the end of each line: the query has no byte 0x0a, so it is one datagram.
exec 3<>"/dev/udp/$1/53" || exit 1
printf '\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x08kube-dns\x0bkube-system\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01' >&3
timeout 2 dd bs=512 count=1 status=none <&3 | od -An -v -tx1 | tr -d ' \n'
