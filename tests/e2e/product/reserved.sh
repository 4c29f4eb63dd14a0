# reserved.sh NODE: how many pods it takes, and how much of the machine they may not use.
kubectl get node "$1" -o jsonpath='{.metadata.name} {.status.allocatable.pods} {.status.capacity.cpu} {.status.allocatable.cpu} {.status.capacity.memory} {.status.allocatable.memory}' |
    awk 'function milli(cpu) { return cpu ~ /m$/ ? cpu + 0 : cpu * 1000 }
{ print $1, "pods", $2, "reserved cpu", milli($3) - milli($4) "m memory", ($5 - $6) / 1024 "Mi" }'
