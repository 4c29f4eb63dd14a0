#!/bin/bash
# The index template of logs: no type of an application's field has another pod's line refused, on each release.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
mkfifo "$work/port"
mkdir "$work/state" "$work/data"
printf 'paths { opt = "%s/tests/golden/opt" state = "%s/state" }\n' "$PWD" "$work" >"$work/hook.conf"

# serve COMMAND...: the server; its first line ends with its port
serve() {
    [ -z "$server" ] || { kill "$server" && wait "$server" 2>/dev/null; }
    "$@" >"$work/port" &
    server=$!
    read -r line <"$work/port"
    port=${line##* }
}
real() {
    serve env HTTP_PORT=0 PATH_DATA="$work/data" NODE_NAME=log-1 REPLICAS=1 build/images/elasticsearch
}
# hook OPTION...: the event that needs no cluster
hook() {
    "$build/lab/cluster-view" es-server master | jq --arg server "127.0.0.1:$port" '.env.es_server = $server' >"$work/metadata.json"
    output=$("$build/bin/k8s-master" prune-logs --config "$work/hook.conf" --metadata "$work/metadata.json" "$@" 2>&1)
    status=$?
}
request() {
    curl --silent --max-time 120 -H Content-Type:application/json "${@:2}" "http://127.0.0.1:$port$1"
}
# post INDEX DOCUMENT...: the statuses
post() {
    for document in "${@:2}"; do
        request "/$1/_doc" -o /dev/null -w '%{http_code} ' -d "{\"log_processed\": $document}"
    done
}

changing=('{"code": 7}' '{"code": "none"}' '{"code": 7.5}' '{"code": true}' '{"code": [1, "two"]}'
    '{"ok": true}' '{"ok": "yes"}' '{"ok": 3}' '{"when": "2026-01-03"}' '{"when": "soon"}' '{"text": "a"}' '{"text": 1}')
real
result "without it, changing types are refused" "$(post logstash-2026.01.01 "${changing[@]}" | grep -q 400 || echo "none was")"
hook --dry-run
result "--dry-run puts nothing" "$(expect 0 "index template"; request /_template | grep k8s-hooks)"
hook
result "is put" "$(expect 0 "index template k8s-hooks put")"
result "with it, every line is taken" \
    "$(diff <(echo "201 201 201 201 201 201 201 201 201 201 201 201 ") <(post logstash-2026.01.02 "${changing[@]}"; echo))"
result "a line is found by the field's word" \
    "$(diff <(echo 1) <(request '/logstash-2026.01.02/_search?q=log_processed.when:soon' | jq .hits.total.value))"
result "fields of others are mapped as ever" \
    "$(diff <(echo "201 400 ") <(for n in 1 '"a"'; do
        request /logstash-2026.01.02/_doc -o /dev/null -w '%{http_code} ' -d "{\"other\": $n}"
    done; echo))"
hook
result "is put once" "$(expect 0; grep put <<<"$output")"
real
result "outlives the server" "$(post logstash-2026.01.03 "${changing[@]}" | grep 400)"

echo '{"now": 0, "aliases": {}, "indices": {}}' >"$work/empty.json"
for release in 5 6 7 8 opensearch; do
    cp "$work/empty.json" "$work/$release.json"
    rm -f "$work/requests"
    serve python3 tests/integration/addons/elasticsearch_releases.py $release "$work/$release.json"
    hook
    result "$release takes it" "$(expect 0 "index template k8s-hooks put"; grep -vx 'PUT /_template/k8s-hooks' "$work/requests")"
done
serve python3 tests/integration/addons/elasticsearch_releases.py guarded "$work/5.json"
hook
result "one that shows no templates is no failure" "$(expect 0)"
finish
