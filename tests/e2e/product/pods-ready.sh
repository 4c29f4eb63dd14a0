#!/bin/sh
# pods-ready.sh [SINCE]: prints the pods of the cluster that are neither Running and ready nor Completed, and with SINCE
# (2026-01-01T00:00:00Z) the containers that were started before: a new machine's kubelet reports a pod of the former one as
# it was until it gets to it. Fails when there is one, or no pod at all.
pods=$(kubectl get pods -A --no-headers) && [ -n "$pods" ] || exit 1
printf '%s\n' "$pods" | awk '{ split($3, n, "/") }
$4 != "Completed" && (n[1] != n[2] || $4 != "Running") { print; missing = 1 }
END { exit missing }' || exit 1
[ $# = 0 ] && exit
times=$(kubectl get pods -A --field-selector status.phase=Running \
    -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[*].state.running.startedAt}{"\n"}{end}') || exit 1
printf '%s\n' "$times" | awk -v since="$1" '{ old = NF < 2; for (i = 2; i <= NF; i++) old = old || $i < since }
old { print; missing = 1 }
END { exit missing }'
