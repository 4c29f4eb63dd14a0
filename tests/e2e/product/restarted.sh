# restarted.sh keep: keeps how often each container was started again. restarted.sh: prints the pods that have one that was
# started again since, how it ended before that, and how many pods were looked at; pods that are new since then count from 0.
restarts() {
    kubectl get pods -A -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[*].restartCount}{"\n"}{end}'
}
if [ "$1" = keep ]; then
    restarts >/root/restarts
    exit
fi
found=$(restarts | awk 'NR == FNR { was[$1] = $0; next }
{ pods++; split(was[$1], before, " "); for (i = 2; i <= NF; i++) if ($i > before[i] + 0) { print "again:", $0; next } }
END { print pods + 0, "pods" }' /root/restarts -)
printf '%s\n' "$found"
printf '%s\n' "$found" | sed -n 's/^again: \([^ ]*\) .*/\1/p' | while read -r pod; do
    named="get pods -A --field-selector metadata.name=$pod"
    ended='{.name} ended: {.lastState.terminated}{"\n"}'
    # shellcheck disable=SC2086
    kubectl $named -o jsonpath="{range .items[*].status.containerStatuses[?(@.lastState.terminated)]}$ended{end}"
    # shellcheck disable=SC2086
    namespace=$(kubectl $named -o jsonpath='{.items[*].metadata.namespace}')
    kubectl -n "$namespace" logs "$pod" --all-containers --previous --tail=5 --prefix 2>&1
done | cut -c 1-400
