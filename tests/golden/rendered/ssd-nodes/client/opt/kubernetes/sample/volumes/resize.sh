#!/bin/sh
# resize.sh: the volumes of statefulset.yaml grow to SIZE, 20Gi unless given. A volume grows only while no pod uses it; its
# file system grows when the next pod does. So the pods come back only when every volume has grown.
set -eu
size=${1:-20Gi}
case $size in *Gi) number=${size%Gi} ;; *) number= ;; esac
case $number in '' | 0* | *[!0-9]*) echo "resize.sh: $size: a number of Gi, such as 20Gi" >&2; exit 2 ;; esac
replicas=$(kubectl get statefulset store -o jsonpath='{.spec.replicas}')
[ "$replicas" != 0 ] || { echo "resize.sh: store has no pods: scale it up first, so that they can come back" >&2; exit 2; }
trap 'kubectl scale statefulset store --replicas="$replicas"' EXIT
trap 'exit 130' HUP INT TERM
kubectl scale statefulset store --replicas=0
# which is an error where none is left by then
kubectl wait pod -l app=store --for=delete --timeout=5m || [ -z "$(kubectl get pod -l app=store -o name)" ]
for claim in $(kubectl get pvc -l app=store -o name); do
    has=$(kubectl get "$claim" -o jsonpath='{.status.capacity.storage}')
    case $has in *[0-9]Gi) [ "${has%Gi}" -lt "$number" ] || continue ;; esac
    kubectl patch "$claim" --type=merge -p "{\"spec\": {\"resources\": {\"requests\": {\"storage\": \"$size\"}}}}"
    kubectl wait "$claim" --for=condition=FileSystemResizePending --timeout=5m
done
kubectl get pvc -l app=store
