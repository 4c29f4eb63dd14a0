#!/bin/sh
# The same certificate, with 20 days left.
set -e
cd /etc/kubernetes/pki
openssl x509 -x509toreq -in front-proxy-client.crt -signkey front-proxy-client.key -out /root/request.pem
openssl x509 -req -in /root/request.pem -CA front-proxy-ca.crt -CAkey front-proxy-ca.key -set_serial 9 -days 20 \
    -out front-proxy-client.crt
