#!/bin/sh
# works.sh ELASTICSEARCH: asks of a cluster what the default one promises. The pods of web.yaml are on every node, each reaches
# each, what each has logged is found by its field at ELASTICSEARCH (ADDRESS:PORT), a line of 40 KB whole; Prometheus has every
# node as a target and all its targets are up; the storage classes are there and the driver is on every node; Kibana and the
# dashboard answer through the API server. Prints what is not so.
fail() {
    echo "$*"
    exit 1
}

nodes=$(kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}' | sort)
[ -n "$nodes" ] || fail "there are no nodes"
kubectl rollout status daemonset/web --timeout=15s || fail "not every pod is ready"
pods=$(kubectl get pods -l app=web -o jsonpath='{.items[*].metadata.name}')

address=$(kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')
targets=$(curl -sf -m 20 "http://$address:30000/api/v1/targets?state=active") || fail "Prometheus does not answer at $address"
not_up=$(printf '%s' "$targets" | grep -oE '"scrapeUrl":"[^"]*"|"health":"[^"]*"' | paste -d ' ' - - | grep -v '"health":"up"')
[ -z "$not_up" ] || fail "targets that are not up: $not_up"
for node in $nodes; do
    printf '%s' "$targets" | grep -qF "\"instance\":\"$node\"" || fail "$node is not a target"
done

for class in qingcloud-storageclass qingcloud-storageclass-capacity; do
    kubectl get storageclass $class -o name || fail "there is no storage class $class"
done
drivers=$(kubectl get csinodes -o jsonpath='{range .items[*]}{.metadata.name} {.spec.drivers[*].name}{"\n"}{end}' |
    sed -n 's/ disk\.csi\.qingcloud\.com$//p' | sort)
[ "$drivers" = "$nodes" ] || fail "the storage driver is on none but: $(printf %s "$drivers" | tr '\n' ' ')"

kubectl get --raw /api/v1/namespaces/kube-system/services/kibana-logging/proxy/app/home | grep -qF '<title>Elastic</title>' ||
    fail "Kibana does not answer"
kubectl get --raw /api/v1/namespaces/kubernetes-dashboard/services/https:kubernetes-dashboard:/proxy/ |
    grep -qF '<title>Kubernetes Dashboard</title>' || fail "the dashboard does not answer"

for pod in $pods; do
    curl -sf -m 20 "http://$1/logstash-*/_search?q=log_processed.serves:${pod#web-}" | grep -qF "\"pod_name\":\"$pod\"" ||
        fail "no line of $pod at $1"
    long=$(curl -sf -m 20 "http://$1/logstash-*/_search?q=log_processed.whole:${pod#web-}" | grep -o '"long":"x*"' | head -1)
    [ ${#long} = 40009 ] || fail "the long line of $pod has ${#long} characters at $1"
done

addresses=$(kubectl get pods -l app=web -o jsonpath='{.items[*].status.podIP}')
for pod in $pods; do
    reached=$(kubectl exec "$pod" -- sh -c "for to in $addresses; do timeout 15 wget -q -O - http://\$to/; done" | sort)
    [ "$reached" = "$nodes" ] || fail "$pod reaches none but: $(printf %s "$reached" | tr '\n' ' ')"
done
