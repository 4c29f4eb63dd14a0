#!/bin/bash
# The lab's program in Elasticsearch's place: several of it are one cluster, by the settings that we ship. What is written at
# one is found at the others, copies take over when a node fails, and shards move off nodes that are to leave.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
. tests/integration/tap.bash

directory=$(mktemp -d)
program=build/images/elasticsearch # static: not in a sanitized build
declare -A pids ports
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$directory"' EXIT
base=$((20000 + $$ % 12000)) # below the ports that are given to connections
seeds=$(for i in 1 2 3 4; do printf '127.0.0.1:%d,' $((base + i)); done)

# start NUMBER NODES: the node log-NUMBER of a cluster that is to have NODES
start() {
    local at=$directory/log-$1 initial
    initial=$(for i in $(seq "$2"); do printf 'log-%d,' "$i"; done)
    mkdir -p "$at/data"
    [ -p "$at/printed" ] || mkfifo "$at/printed"
    # templates/efk/elasticsearch.yaml.mustache
    cat >"$at/elasticsearch.yml" <<C
cluster.name: kubernetes-logging
node.name: log-$1
path.data: $at/data
network.host: 0.0.0.0
network.publish_host: 127.0.0.1
transport.port: $((base + $1))
discovery.seed_hosts: ${SEEDS-$seeds}
cluster.initial_master_nodes: $initial
gateway.recover_after_data_nodes: $(($2 / 2 + 1))
gateway.expected_data_nodes: $2
action.auto_create_index: true
C
    ES_PATH_CONF=$at HTTP_PORT=0 "$program" >"$at/printed" 2>>"$at/messages" &
    pids[$1]=$!
    read -r _ _ ports[$1] <"$at/printed"
}

end() {
    kill -9 "${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null
    unset "pids[$1]"
}

# request NUMBER PATH [ARGUMENT...]
request() {
    local number=$1 path=$2
    shift 2
    curl --silent --max-time 60 -H 'Content-Type: application/json' "$@" "http://127.0.0.1:${ports[$number]}$path"
}

# until_is NUMBER PATH FILTER EXPECTED: within minutes, as a loaded machine may need; prints what is found
until_is() {
    local found end=$((SECONDS + 180))
    while found=$(request "$1" "$2" | jq -rc "$3" 2>/dev/null); [ "$found" != "$4" ] && [ $SECONDS -lt $end ]; do
        sleep 0.2
    done
    echo "$found"
}

health='[.status, .number_of_data_nodes, .unassigned_shards, .relocating_shards] | map(tostring) | join(" ")'
# healthy EXPECTED NUMBER...: until each of these sees the cluster so; prints what another one sees
healthy() {
    local number found
    for number in "${@:2}"; do
        found=$(until_is "$number" /_cluster/health "$health" "$1")
        [ "$found" = "$1" ] || break
    done
    echo "$found"
}
add() { # NUMBER ID: a document
    request "$1" "/logstash-2026.01.0$((1 + $2 % 4))/_doc/$2" -X PUT -d "{\"log\": \"line $2\", \"n\": $2}" -o /dev/null -w '%{http_code}\n'
}
count() {
    request "$1" '/logstash-*/_count' | jq .count
}

# what the pods' readiness is probed by
probe=$(awk '/readinessProbe:/ { inside = 1 } inside && $1 == "path:" { print $2; exit }' templates/efk/elasticsearch-nodes.yaml.mustache)
ready() {
    request "$1" "$probe" -o /dev/null -w '%{http_code}'
}

start 1 3
is "$(ready 1) $(request 1 / -o /dev/null -w '%{http_code}')" "503 200" "one of three answers, and is not ready"
is "$(request 1 /_cluster/health | jq -r .error.type)" master_not_discovered_exception "one of three makes no cluster"
is "$(add 1 1)" 503 "and takes no document"
start 2 3
start 3 3
is "$(healthy "green 3 0 0" 1 2 3)" "green 3 0 0" "three are one cluster"
is "$(ready 1) $(ready 2) $(ready 3)" "200 200 200" "and ready"
is "$(for n in 1 2 3; do request $n '/_cat/nodes?format=json' | jq -r '.[] | select(.master == "*") | .name'; done | sort | uniq -c | awk '{ print $1 }')" \
    3 "with one master"
is "$(request 1 /_template/k8s-hooks -X PUT -d '{"index_patterns": ["logstash-*"], "version": 7}' | jq .acknowledged)" true \
    "a template is put at one"
is "$(until_is 3 /_template/k8s-hooks '."k8s-hooks".version' 7)" 7 "and is there at another"
is "$(for id in $(seq 40); do add $((1 + id % 3)) "$id"; done | sort | uniq -c | awk '{ print $1, $2 }')" "40 201" \
    "documents are taken by each"
is "$(count 1) $(count 2) $(count 3)" "40 40 40" "and counted by each"
is "$(request 2 '/logstash-*/_search?q=n:17' | jq -c '.hits.hits[]._source')" '{"log":"line 17","n":17}' "and found by each"
is "$(healthy "green 3 0 0" 1 2 3)" "green 3 0 0" "each index has two copies"
is "$(request 1 '/_cat/allocation?format=json&h=node,shards' | jq -c '[.[].shards | tonumber] | [add, min > 1]')" "[8,true]" \
    "spread over the nodes"

long=$(head -c 20000 /dev/zero | tr '\0' x)
for _ in $(seq 60); do printf '{"index": {"_index": "long"}}\n{"log": "%s"}\n' "$long"; done >"$directory/bulk"
is "$(request 1 /_bulk -X POST --data-binary "@$directory/bulk" | jq .errors)" false "long lines are taken"
is "$(until_is 1 /_cluster/health "$health" "green 3 0 0")" "green 3 0 0" "and copied"

gone=$(request 1 '/_cat/shards?format=json' | jq -r '.[] | select(.index == "long" and .prirep == "p") | .node')
gone=${gone#log-}
stays=$((gone % 3 + 1))
end "$gone"
is "$(healthy "green 2 0 0" "$stays" $((6 - gone - stays)))" "green 2 0 0" "copies take over from a node that fails, and are copied again"
is "$(count "$stays")" 40 "and nothing is lost"
is "$(add "$stays" 41)" 201 "writing goes on"
start "$gone" 3
is "$(healthy "green 3 0 0" "$gone" "$stays")" "green 3 0 0" "it is in the cluster again"
is "$(count "$gone")" 41 "and has what it missed"
is "$(for n in 1 2 3; do until_is $n /long/_count .count 60; done | sort -u)" 60 "of an index that is copied in pieces too"

# the process, not the machine: its connections are made, and nothing answers
master=$(request 1 '/_cat/nodes?format=json' | jq -r '.[] | select(.master == "*") | .name')
master=${master#log-}
still=$((master % 3 + 1))
kill -STOP "${pids[$still]}"
is "$(until_is "$master" /_cluster/health .number_of_data_nodes 2)" 2 "a node that stands still is given up"
kill -CONT "${pids[$still]}"
is "$(until_is "$master" /_cluster/health "$health" "green 3 0 0")" "green 3 0 0" "and joins again when it goes on"

start 4 4
is "$(healthy "green 4 0 0" 4 1 2 3)" "green 4 0 0" "a fourth joins"
is "$(request 4 '/_cat/allocation?format=json&h=node,shards' | jq -c '[.[] | select(.node == "log-4") | .shards | tonumber > 0]')" "[true]" \
    "and is given shards"
is "$(request 2 /_cluster/settings -X PUT -d '{"persistent": {"cluster.routing.allocation.exclude._name": "log-3,log-4"}}' | jq .acknowledged)" \
    true "nodes are excluded"
is "$(until_is 1 '/_cat/allocation?format=json&h=node,shards' '[.[] | select(.node == "log-3" or .node == "log-4") | .shards | tonumber] | add' 0)" \
    0 "their shards move off"
is "$(request 1 '/_cluster/voting_config_exclusions?node_names=log-3,log-4' -X POST -o /dev/null -w '%{http_code}')" 200 \
    "they vote no more"
end 3
end 4
is "$(healthy "green 2 0 0" 1 2)" "green 2 0 0" "two of four are gone at once"
is "$(count 1) $(count 2)" "41 41" "with nothing lost"
is "$(request 2 '/_cluster/voting_config_exclusions?wait_for_removal=false' -X DELETE -o /dev/null -w '%{http_code}') $(add 2 42)" \
    "200 201" "and writing goes on"

end 1
end 2
start 1 2
start 2 2
is "$(healthy "green 2 0 0" 1 2)" "green 2 0 0" "started anew they are the same cluster"
is "$(count 2)" 42 "with what was written"

mkdir -p "$directory/log-9/data"
echo "discovery.zen.no_such: 1" >"$directory/log-9/elasticsearch.yml"
ES_PATH_CONF=$directory/log-9 "$program" >/dev/null 2>"$directory/log-9/messages"
is "$? $(grep -c 'unknown setting \[discovery.zen.no_such\]' "$directory/log-9/messages")" "1 1" "refuses a setting that there is not"
echo "network.host: 0.0.0.0" >"$directory/log-9/elasticsearch.yml"
ES_PATH_CONF=$directory/log-9 "$program" >/dev/null 2>"$directory/log-9/messages"
is "$? $(grep -c 'default discovery settings are unsuitable' "$directory/log-9/messages")" "1 1" "refuses to be found by nobody"
finish
