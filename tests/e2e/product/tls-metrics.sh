# A pod that serves its metrics over TLS alone: a second Prometheus, with the image of the first.
set -e
image=$(kubectl -n kube-system get pod prometheus-0 -o jsonpath='{.spec.containers[?(@.name=="prometheus")].image}')
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tls-metrics \
    -keyout /root/tls-metrics.key -out /root/tls-metrics.crt 2>/dev/null
printf 'tls_server_config: {cert_file: /etc/tls/tls.crt, key_file: /etc/tls/tls.key}\n' >/root/tls-metrics.web
printf 'scrape_configs: []\n' >/root/tls-metrics.conf
kubectl create secret generic tls-metrics --from-file=tls.crt=/root/tls-metrics.crt --from-file=tls.key=/root/tls-metrics.key \
    --from-file=web.yml=/root/tls-metrics.web --from-file=prometheus.yml=/root/tls-metrics.conf
cat <<END | kubectl apply -f -
apiVersion: v1
kind: Pod
metadata:
  name: tls-metrics
  annotations: {prometheus.io/scrape: "true", prometheus.io/scheme: https, prometheus.io/port: "9443"}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: $image
      command: [/usr/bin/prometheus, --config.file=/etc/tls/prometheus.yml, --web.config.file=/etc/tls/web.yml,
                "--web.listen-address=:9443", --storage.tsdb.path=/tmp/data]
      ports: [{containerPort: 9443}]
      volumeMounts: [{name: tls, mountPath: /etc/tls}]
  volumes: [{name: tls, secret: {secretName: tls-metrics}}]
END
