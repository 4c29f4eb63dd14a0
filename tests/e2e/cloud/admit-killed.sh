# admit-killed.sh: a Service is made, and `k8s-master admit` is killed while the API server waits for its answer. Prints the
# annotations that the Service is stored with.
set -eu
export KUBECONFIG=/etc/kubernetes/admin.conf
drop_in=/run/systemd/system/k8s-admission@.service.d
trap 'rm -rf $drop_in; systemctl daemon-reload' EXIT

running() {
    systemctl list-units --plain --no-legend --state=running 'k8s-admission@*' | cut -d' ' -f1
}

# Whether it was killed while the request waited for it, which it does for three seconds: a loaded machine may start it later.
killed_in_time() {
    mkdir -p $drop_in
    printf '[Service]\nExecStart=\nExecStart=/bin/sh -c "kill -STOP $$$$; exec /opt/kubernetes/bin/k8s-master admit"\n' >$drop_in/stopped.conf
    systemctl daemon-reload
    kubectl create service loadbalancer killed --tcp=80:80 \
        --output=jsonpath='annotations={.metadata.annotations}{"\n"}' >/tmp/killed &
    request=$!
    unit=
    while [ -z "$unit" ] && kill -0 $request 2>/dev/null; do
        sleep 0.05
        unit=$(running)
    done
    in_time=no
    if [ -n "$unit" ] && kill -0 $request 2>/dev/null && systemctl kill --signal=KILL "$unit"; then
        in_time=yes
    fi
    rm -r $drop_in
    systemctl daemon-reload
    wait $request && [ $in_time = yes ]
}

for _ in 1 2 3 4 5 6 7 8 9 10; do
    if killed_in_time; then
        cat /tmp/killed
        echo "killed $unit"
        exit
    fi
    # systemd ends one that is stopped after 15 s
    for _ in $(seq 60); do
        [ -n "$(running)" ] || break
        sleep 1
    done
    kubectl delete service killed --ignore-not-found --timeout=60s
done
echo "the request ended each time before admit ran"
exit 1
