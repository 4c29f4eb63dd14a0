# A pod with ten claims, on any node that has no taint but that of its class.
cat <<END | kubectl apply -f -
$(for i in 0 1 2 3 4 5 6 7 8 9; do printf '%s\n' '---' 'apiVersion: v1' 'kind: PersistentVolumeClaim' \
    "metadata: {name: ten-volumes-$i, labels: {app: ten-volumes}}" \
    'spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}'; done)
---
apiVersion: v1
kind: Pod
metadata:
  name: ten-volumes
spec:
  tolerations: [{key: dedicated, operator: Exists}]
  containers:
    - name: main
      image: busybox:1.35.0
      command: [sleep, "100000"]
      volumeMounts:
$(for i in 0 1 2 3 4 5 6 7 8 9; do echo "        - {name: v$i, mountPath: /data/$i}"; done)
  volumes:
$(for i in 0 1 2 3 4 5 6 7 8 9; do echo "    - {name: v$i, persistentVolumeClaim: {claimName: ten-volumes-$i}}"; done)
END
