#!/bin/bash
# How far our units are sandboxed: systemd-analyze's exposure of each (0: none, 10: all), and a bound that it must keep.
set -uo pipefail
. tests/integration/tap.bash
. tests/integration/files/rendered.bash
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! command -v systemd-analyze >/dev/null; then
    skipped "units are sandboxed" "needs systemd-analyze"
    finish
    exit
fi
render ssd-nodes master "$work/root" tests/golden/bridge.conf
units=$work/root/etc/systemd/system
cp image/overlay/usr/lib/systemd/system/kubelet.service "$units"
cp -r tests/golden/opt "$work/opt" &&
    jq '.kubernetes = "v1.24.17" | .container_runtime = "cri-dockerd" | .cri_socket = "unix:///var/run/cri-dockerd.sock"' \
        tests/golden/opt/versions.json >"$work/opt/versions.json"
"$build/lab/cluster-view" ssd-nodes node >"$work/node.json" && echo "paths { opt = \"$work/opt\" }" >"$work/hook.conf" &&
    "$build/bin/k8s-node" render --root "$work/cri" --config "$work/hook.conf" --metadata "$work/node.json" >"$work/log" 2>&1 &&
    cp "$work/cri/etc/systemd/system/cri-docker.service" "$units"

# k8s-reconcile does what reload does: it writes files of root's, restarts services and runs kubectl and docker.
# The kubelet and cri-dockerd mount volumes, enter namespaces of pods and run CNI plugins: what would hide that from the machine
# cannot be switched on for them.
declare -A bound=([k8s-admission@]=1.5 [k8s-routes]=2.3 [k8s-metadata-guard]=2.3 [k8s-prune-logs]=3.6 [k8s-reconcile]=4.6 [cri-docker]=8.8 [kubelet]=9.6)

for file in "$units"/*.service; do
    name=$(basename "$file" .service)
    printed=$(systemd-analyze security --offline=true --no-pager "$file" 2>&1)
    score=$(sed -nE 's/.*Overall exposure level for .*: ([0-9.]+) .*/\1/p' <<<"$printed")
    result "$name.service: ${score:-no} exposure, at most ${bound[$name]:-none}" "$(
        [ -n "$score" ] && [ -n "${bound[$name]:-}" ] && awk "BEGIN { exit !($score <= ${bound[$name]}) }" || sed -n "s/^✗/lacks/p" <<<"$printed")"
done
for name in "${!bound[@]}"; do
    result "$name.service is one of ours" "$([ -e "$units/$name.service" ] || { ls "$units" && cat "$work/log"; })"
done
finish
