#!/bin/sh
# print.sh ROLE: all that a role's program prints without changing anything, and what the machine tells of its units and
# containers, into /var/tmp/printed.
role=$1
mkdir -p /var/tmp/printed && cd /var/tmp/printed || exit
while read -r event; do
    # shellcheck disable=SC2086
    "/opt/kubernetes/bin/$role" $event >"$(echo "$event" | tr -c 'a-z\n-' _).out" 2>&1 </dev/null
done <<EOF
render
render --diff
reload --diff
reload --dry-run
reload --dry-run --verbose
init --dry-run
start --dry-run
stop --dry-run
destroy --dry-run
scale-in --check
renew-certs --dry-run
backup --dry-run
facts
facts --json
status
status --json
status --blame
check
check --json
check --verbose
monitor
tab nodes
tab components
tab certificates
tab kubeconfig
prune-logs --dry-run
EOF
k8s-hook config check >config.out 2>&1
systemctl show '*' >units.out 2>&1
docker info >docker.out 2>&1
# shellcheck disable=SC2046
docker inspect $(docker ps -aq) >>docker.out 2>&1
grep 'secret' ./reload_--diff.out || :
