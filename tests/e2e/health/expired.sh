#!/bin/sh
# expired.sh NODE: key and expired certificate of a node's kubelet, for a command line
set -e
cd /root
openssl req -newkey rsa:2048 -nodes -keyout expired.key -subj "/O=system:nodes/CN=system:node:$1" -out expired.csr 2>/dev/null
openssl x509 -req -in expired.csr -CA /etc/kubernetes/pki/ca.crt -CAkey /etc/kubernetes/pki/ca.key -set_serial 8 -days 0 \
    -out expired.crt 2>/dev/null
sleep 2 # it is good for this second
cat expired.crt expired.key | base64 -w 0
