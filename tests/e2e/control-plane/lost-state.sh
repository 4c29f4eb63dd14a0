#!/bin/bash
# Removes each file of the state directory alone, runs start, and prints what of the cluster is another one afterwards.
state=/data/kubernetes/hooks
cd /data/kubernetes || exit
# The API server may be busy for a moment.
k() {
    for _ in $(seq 60); do
        kubectl --kubeconfig /etc/kubernetes/admin.conf "$@" && return
        sleep 1
    done
    return 1
}
# what makes the cluster this one: keys, kubeconfigs, token, manifests, nodes, encryption. kubelet.conf is not among them:
# kubeadm makes it name the rotated certificate where renew-certs had put one in.
cluster() {
    find pki admin.conf controller-manager.conf scheduler.conf client.conf manifests -type f -exec sha256sum {} + |
        sort -k 2
    /opt/kubernetes/bin/k8s-master metadata | sed 's/"kubeconfig".*//'
    k get nodes,namespaces -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.uid} {.spec.providerID}{"\n"}{end}'
    find /data/etcd/member/snap/db /data/kubernetes -maxdepth 1 -name 'pki*' -o -name db | sort
}
cluster >/tmp/before
changed=0 files=0
while read -r file; do
    [ "$file" != lock ] || continue
    [ -e "$state/$file" ] || continue
    rm "$state/$file"
    files=$((files + 1))
    /opt/kubernetes/bin/k8s-master start >/tmp/start.log 2>&1 || {
        echo "without $file start ends with $?:" && tail -3 /tmp/start.log && changed=1
    }
    cluster >/tmp/after
    diff /tmp/before /tmp/after >/tmp/difference || { echo "without $file:" && cat /tmp/difference && changed=1; }
done < <(cd $state && find . -type f -printf '%P\n')
# and all of it at once
rm -rf ${state:?}/*
/opt/kubernetes/bin/k8s-master start >/tmp/start.log 2>&1 || { echo "without any start ends with $?:" && tail -3 /tmp/start.log && changed=1; }
cluster >/tmp/after
diff /tmp/before /tmp/after || changed=1
echo "$files files, each lost alone"
exit $changed
