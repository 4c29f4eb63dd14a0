#!/bin/sh
# Deploys WordPress with its database. Run again, it changes nothing that is as it should be.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if ! kubectl get secret mysql >/dev/null 2>&1; then
    head -c 18 /dev/urandom | base64 | tr -d '\n' | kubectl create secret generic mysql --from-file=password=/dev/stdin
fi
kubectl apply -f "$here/mysql.yaml" -f "$here/wordpress.yaml"
kubectl rollout status --timeout=10m deployment/wordpress
kubectl get service wordpress
