# What a pod can read: the metadata, by each way there is, and what it knows of itself (busybox' wget crashes here).
for path in /self /self/env /hosts /env /; do
    printf 'GET %s HTTP/1.0\r\nHost: metadata\r\n\r\n' $path | nc -w 2 192.168.100.1 80
done
printf 'GET /v1/data HTTP/1.0\r\nHost: metadata\r\n\r\n' | nc -w 2 192.168.100.1 9611
env
cat /proc/*/environ /proc/*/cmdline
