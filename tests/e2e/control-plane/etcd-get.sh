#!/bin/sh
# etcd-get.sh KEY: the value as etcd has it, printable characters only
cd /etc/kubernetes/pki/etcd || exit
ETCDCTL_API=3 etcdctl --dial-timeout=60s --command-timeout=60s --endpoints=https://127.0.0.1:2379 --cacert=ca.crt --cert=healthcheck-client.crt \
    --key=healthcheck-client.key get "$1" --print-value-only | tr -dc '[:print:]'
