#!/bin/sh
# client-group.sh [KUBECONFIG]: the group of its certificate
sed -n 's/.*"client-certificate-data": "\(.*\)".*/\1/p' "${1:-/root/.kube/config}" | base64 -d | openssl x509 -noout -subject
