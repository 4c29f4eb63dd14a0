#!/bin/bash
# The lab's stand-in for Elasticsearch answers as the hooks and Fluent Bit need it to.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1

directory=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$directory"' EXIT
n=0

is() {
    n=$((n + 1))
    if [ "$1" = "$2" ]; then
        echo "ok $n - $3"
    else
        echo "not ok $n - $3"
        printf '# expected: %s\n# is:       %s\n' "$2" "$1"
    fi
}

# The program says where it listens in its first line: reading that is waiting for it.
start() {
    [ -z "$server" ] || { kill "$server" && wait "$server"; }
    [ -p "$directory/said" ] || mkfifo "$directory/said"
    HTTP_PORT=0 PATH_DATA=$directory NODE_NAME=log-1 REPLICAS=$1 "$directory/elasticsearch" >"$directory/said" &
    server=$!
    read -r _ _ port <"$directory/said"
}

ask() {
    local path=$1
    shift
    curl --silent --max-time 10 "$@" "http://127.0.0.1:$port$path"
}

echo 1..12
gcc -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -o "$directory/elasticsearch" tests/lab/images/elasticsearch/elasticsearch.c ||
    exit 1
start 1
is "$(ask / | jq -r .name)" log-1 "names its node"
is "$(ask /_cluster/health | jq -r '.status, .number_of_data_nodes' | tr '\n' ' ')" "green 1 " "is green"
bulk='{"index":{"_index":"logstash-2026.01.01","_type":"_doc"}}
{"log":"{\"index\":1}"}
{"create":{"_index":"logstash-2026.01.02"}}
{"log":"b"}
{"index":{"_index":"logstash-2026.01.02"}}
{"log":"c"}
'
is "$(ask /_bulk -H 'Content-Type: application/x-ndjson' --data-binary "$bulk" | jq -c '[.errors, (.items | length)]')" \
    "[false,3]" "takes a bulk of documents"
is "$(ask /_count | jq .count)" 3 "counts all"
is "$(ask '/logstash-2026.01.02/_count' | jq .count)" 2 "counts one index"
is "$(ask '/_cat/indices?format=json&h=index,rep,docs.count' | jq -c '[.[] | [.index, .rep, ."docs.count"]]')" \
    '[["logstash-2026.01.01","0","1"],["logstash-2026.01.02","0","2"]]' "lists indices as JSON"
is "$(ask /_bulk --data-binary @<(for _ in $(seq 20000); do
    echo '{"index":{"_index":"large"}}' && echo '{"log":"a line of a log that is long enough to fill a buffer"}'
done) | jq .errors)" false "takes a bulk of megabytes"
is "$(ask /large/_count | jq .count)" 20000 "counts what is large"
is "$(ask /logstash-2026.01.01 -X DELETE | jq .acknowledged)" true "deletes an index"
is "$(ask /logstash-2026.01.01 -X DELETE -o /dev/null -w '%{http_code}')" 404 "an absent index cannot be deleted"
start 3
is "$(ask /_count | jq .count)" 20002 "counts outlive the process"
is "$(ask '/_cat/indices?format=json' | jq -c '[.[].rep] | unique')" '["1"]' "with more nodes there are two copies"
