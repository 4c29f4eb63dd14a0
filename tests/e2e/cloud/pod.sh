# pod.sh NAME CLAIM ROLE-SID: a pod on that node with the claim at /data.
cat <<END | kubectl apply -f -
apiVersion: v1
kind: Pod
metadata:
  name: $1
spec:
  nodeSelector: {kubernetes.io/hostname: $3}
  terminationGracePeriodSeconds: 0
  tolerations: [{operator: Exists}]
  containers:
    - name: main
      image: busybox:1.35.0
      command: [sleep, "100000"]
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: $2}}]
END
