#!/bin/sh
# resize.sh: the volumes of statefulset.yaml grow to SIZE, 20Gi unless given. A volume grows only while no pod uses it; its
# file system grows when the next pod does.
set -eu
size=${1:-20Gi}
replicas=$(kubectl get statefulset store -o jsonpath='{.spec.replicas}')
kubectl scale statefulset store --replicas=0
kubectl wait pod -l app=store --for=delete --timeout=5m
for claim in $(kubectl get pvc -l app=store -o name); do
    kubectl patch "$claim" --type=merge -p "{\"spec\": {\"resources\": {\"requests\": {\"storage\": \"$size\"}}}}"
done
kubectl scale statefulset store --replicas="$replicas"
kubectl get pvc -l app=store
