#!/bin/sh
# Prints the pods of the cluster that are neither Running and ready nor Completed; fails when there is one, or no pod at all.
pods=$(kubectl get pods -A --no-headers) && [ -n "$pods" ] || exit 1
printf '%s\n' "$pods" | awk '{ split($3, n, "/") }
$4 != "Completed" && (n[1] != n[2] || $4 != "Running") { print; missing = 1 }
END { exit missing }'
