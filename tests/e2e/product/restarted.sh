# restarted.sh keep: keeps how often each container was started again. restarted.sh: prints the pods that have one that was
# started again since, and how many pods were looked at; pods that are new since then count from 0.
restarts() {
    kubectl get pods -A -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[*].restartCount}{"\n"}{end}'
}
if [ "$1" = keep ]; then
    restarts >/root/restarts
    exit
fi
restarts | awk 'NR == FNR { was[$1] = $0; next }
{ pods++; split(was[$1], before, " "); for (i = 2; i <= NF; i++) if ($i > before[i] + 0) { print "again:", $0; next } }
END { print pods + 0, "pods" }' /root/restarts -
