#!/bin/bash
# The lab's stand-in for Elasticsearch answers as the hooks and Fluent Bit need it to, and as strictly as the real one.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
. tests/integration/tap.bash

directory=$(mktemp -d)
program=build/images/elasticsearch # static: not in a sanitized build
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$directory"' EXIT

# The program says where it listens in its first line: reading that is waiting for it.
start() {
    [ -z "$server" ] || { kill "$server" && wait "$server"; }
    [ -p "$directory/printed" ] || mkfifo "$directory/printed"
    HTTP_PORT=0 PATH_DATA=$directory NODE_NAME=log-1 "$program" >"$directory/printed" &
    server=$!
    read -r _ _ port <"$directory/printed"
}

request() {
    local path=$1
    shift
    curl --silent --max-time 120 "$@" "http://127.0.0.1:$port$path"
}

start
is "$(request / | jq -r .name)" log-1 "names its node"
is "$(request /_cluster/health | jq -r '.status, .number_of_data_nodes' | tr '\n' ' ')" "green 1 " "is green"
bulk='{"index":{"_index":"logstash-2026.01.01","_type":"_doc"}}
{"log":"{\"index\":1}"}
{"create":{"_index":"logstash-2026.01.02"}}
{"log":"b"}
{"index":{"_index":"logstash-2026.01.02"}}
{"log":"c"}
'
is "$(request /_bulk -H 'Content-Type: application/x-ndjson' --data-binary "$bulk" | jq -c '[.errors, (.items | length)]')" \
    "[false,3]" "takes a bulk of documents"
is "$(request /_count | jq .count)" 3 "counts all"
is "$(request '/logstash-2026.01.02/_count' | jq .count)" 2 "counts one index"
is "$(request '/_cat/indices?format=json&h=index,rep,docs.count' | jq -c '[.[] | [.index, .rep, ."docs.count"]]')" \
    '[["logstash-2026.01.01","1","1"],["logstash-2026.01.02","1","2"]]' "lists indices as JSON"
is "$(request /_cluster/health | jq -r '.status, .unassigned_shards' | tr '\n' ' ')" "yellow 2 " "alone it has no second copies"
is "$(request /_bulk -H 'Content-Type: application/x-ndjson' --data-binary @<(for _ in $(seq 20000); do
    echo '{"index":{"_index":"large"}}' && echo '{"log":"a line of a log that is long enough to fill a buffer"}'
done) | jq .errors)" false "takes a bulk of megabytes"
is "$(request /large/_count | jq .count)" 20000 "counts what is large"
is "$(request /logstash-2026.01.01 -X DELETE | jq .acknowledged)" true "deletes an index"
is "$(request /logstash-2026.01.01 -X DELETE -o /dev/null -w '%{http_code}')" 404 "an absent index cannot be deleted"
start
is "$(request /_count | jq .count)" 20002 "counts outlive the process"

# a document that does not fit is refused, and it alone
lines() {
    local line
    for line; do echo '{"create":{"_index":"logstash-2026.01.03"}}' && echo "$line"; done
}
post() {
    request /_bulk -H 'Content-Type: application/x-ndjson' --data-binary "$1
" | jq -c "$2"
}
is "$(post "$(lines '{"level":"info"}' '{"level":{"code":3}}' '{"level":"warn"}')" '[.items[].create.status]')" "[201,400,201]" \
    "refuses an object where there is text"
is "$(post "$(lines '{"level":{"code":3}}')" '.items[0].create.error.reason')" '"failed to parse field [level] of type [text]"' \
    "says which field it is"
is "$(post "$(lines '{"code":7}' '{"code":"8"}' '{"code":"none"}' '{"code":7.5}')" '[.items[].create.status]')" \
    "[201,201,400,201]" "refuses words where there are numbers"
is "$(post "$(lines '{"user":{"name":"a"}}' '{"user":"a"}')" '[.items[].create.status]')" "[201,400]" \
    "refuses text where there is an object"
is "$(post "$(lines '{"a.b":1}' '{"a":{"b":2}}' '{"a":3}')" '[.items[].create.status]')" "[201,201,400]" "takes dots as objects"
is "$(post "$(lines '{"when":"2026-01-03T10:00:00Z"}' '{"when":"soon"}')" '[.items[].create.status]')" "[201,400]" \
    "refuses a value that is not a date in a date field"
is "$(request '/logstash-2026.01.03/_search?q=user.name:a' | jq -c '[.hits.total.value, .hits.hits[0]._source]')" \
    '[1,{"user":{"name":"a"}}]' "finds a document by a field"
is "$(post '{"index":{"_index":"Upper"}}
{"log":"a"}' '.items[0].index.error.type')" '"invalid_index_name_exception"' "refuses an index's name"
is "$(request /_bulk -H 'Content-Type: application/x-ndjson' --data-binary '{"index":{"_index":"a"}}
{"log":"a"}' | jq .status)" 400 "wants a bulk's last line to end"
is "$(request /_bulk --data-binary 'a' -o /dev/null -w '%{http_code}')" 406 "refuses a body of another type"
is "$(post '{"create":{"_index":"ids","_id":"1"}}
{"log":"a"}
{"create":{"_index":"ids","_id":"1"}}
{"log":"a"}' '[.items[].create.status]')" "[201,409]" "does not take a document twice"
is "$(request /.kibana_1 -X PUT | jq .acknowledged)$(request /.kibana_1 -X PUT | jq .error.type)" \
    'true"resource_already_exists_exception"' "makes an index once"
finish
