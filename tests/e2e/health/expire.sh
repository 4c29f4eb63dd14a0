#!/bin/sh
# The API server's certificate as it is, but expired; and the API server restarted with it.
set -e
cd /etc/kubernetes/pki
openssl x509 -x509toreq -copy_extensions copyall -in apiserver.crt -signkey apiserver.key -out /root/request.pem
openssl x509 -req -copy_extensions copyall -in /root/request.pem -CA ca.crt -CAkey ca.key -set_serial 7 -days 0 -out /root/apiserver.crt
cp /root/apiserver.crt apiserver.crt
docker kill "$(docker ps -q -f label=io.kubernetes.container.name=kube-apiserver)"
end=$(($(date +%s) + 300))
while [ "$(date +%s)" -lt $end ]; do
    sleep 1
    ! curl -sk -m 5 -o /dev/null https://127.0.0.1:6443/readyz || exit 0
done
exit 1
