# admit-killed.sh: a Service is made, and `k8s-master admit` is killed while the API server waits for its answer. Prints the
# annotations that the Service is stored with.
set -eu
export KUBECONFIG=/etc/kubernetes/admin.conf
drop_in=/run/systemd/system/k8s-admission@.service.d
trap 'rm -rf $drop_in; systemctl daemon-reload' EXIT
mkdir -p $drop_in
printf '[Service]\nExecStart=\nExecStart=/bin/sh -c "kill -STOP $$$$; exec /opt/kubernetes/bin/k8s-master admit"\n' >$drop_in/stopped.conf
systemctl daemon-reload
kubectl create service loadbalancer killed --tcp=80:80 --output=jsonpath='annotations={.metadata.annotations}{"\n"}' &
request=$!
unit=
while [ -z "$unit" ] && kill -0 $request; do
    sleep 0.05
    unit=$(systemctl list-units --plain --no-legend --state=running 'k8s-admission@*' | cut -d' ' -f1)
done
[ -n "$unit" ] || { echo "the request ended before admit ran"; exit 1; }
systemctl kill --signal=KILL "$unit"
rm -r $drop_in
systemctl daemon-reload
wait $request
echo "killed $unit"
