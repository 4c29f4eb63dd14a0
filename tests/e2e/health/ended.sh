#!/bin/sh
# ended.sh NODE: key and certificate of a node's kubelet that has ended, for a command line
set -e
cd /root
openssl req -newkey rsa:2048 -nodes -keyout ended.key -subj "/O=system:nodes/CN=system:node:$1" -out ended.csr 2>/dev/null
openssl x509 -req -in ended.csr -CA /etc/kubernetes/pki/ca.crt -CAkey /etc/kubernetes/pki/ca.key -set_serial 8 -days 0 \
    -out ended.crt 2>/dev/null
sleep 2 # it is good for this second
cat ended.crt ended.key | base64 -w 0
