#!/bin/bash
# The lab's program in Fluent Bit's place reads, joins, keeps its place, retries and gives up as the real one does.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
. tests/integration/tap.bash

directory=$(mktemp -d)
programs=build/images # static: not in a sanitized build
elasticsearch='' fluent_bit='' receiver=''
metrics=$((20000 + $$ % 12000)) # of fluent-bit, below the ports that are given to connections
trap 'kill $elasticsearch $fluent_bit $receiver 2>/dev/null; rm -rf "$directory"' EXIT

mkdir -p "$directory/logs" "$directory/state" "$directory/data"
mkfifo "$directory/said"
HTTP_PORT=0 PATH_DATA=$directory/data "$programs/elasticsearch" >"$directory/said" 2>/dev/null &
elasticsearch=$!
read -r _ _ port <"$directory/said"

# configure PROPERTIES-OF-TAIL PROPERTIES-OF-ES
configure() {
    cat >"$directory/parsers.conf" <<P
[PARSER]
    Name   docker
    Format json
P
    cat >"$directory/fluent-bit.conf" <<C
[SERVICE]
    Flush          0.2
    scheduler.base 1
    scheduler.cap  1
    Parsers_File   $directory/parsers.conf
[INPUT]
    Name             tail
    Tag              kube.*
    Path             $directory/logs/*.log
    Parser           docker
    DB               $directory/state/tail.db
    Refresh_Interval 1
$1
[OUTPUT]
    Name  es
    Match kube.*
    Host  127.0.0.1
    Port  $port
    Index logs
$2
C
}

run() {
    "$programs/fluent-bit" --config="$directory/fluent-bit.conf" 2>"$directory/messages" &
    fluent_bit=$!
}

# read_to FILE...: until the database says that all of each was read and sent, which it does a moment later
read_to() {
    local file end=$((SECONDS + 120))
    for file; do
        until jq -e --arg inode "$(stat -c %i "$file")" --argjson size "$(stat -c %s "$file")" '.[$inode] == $size' \
            "$directory/state/tail.db" >/dev/null 2>&1 || [ $SECONDS -ge $end ]; do
            sleep 0.1
        done
    done
}

end() {
    read_to "$directory"/logs/*.log
    kill "$fluent_bit"
    wait "$fluent_bit" 2>/dev/null
}

line() {
    printf '{"log":"%s%s","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}\n' "$1" "${2-\\n}"
}

count() {
    curl -s --max-time 60 "http://127.0.0.1:$port/logs/_count" | jq .count
}

# until_is EXPECTED COMMAND...: within minutes, as a loaded machine may need; prints what it printed last
until_is() {
    local found end=$((SECONDS + 120))
    while found=$("${@:2}"); [ "$found" != "$1" ] && [ $SECONDS -lt $end ]; do
        sleep 0.2
    done
    echo "$found"
}

reached() { # COUNT
    until_is "$1" count
}

# figures PATTERN: the values of the metrics whose line it is in, in one line
figures() {
    curl -s --max-time 60 "http://127.0.0.1:$metrics/api/v1/metrics/prometheus" |
        awk -v pattern="$1" '$0 ~ pattern { print $2 }' | paste -sd' '
}

configure "    Unknown_Key On" ""
"$programs/fluent-bit" --config="$directory/fluent-bit.conf" 2>/dev/null
is $? 1 "refuses a property that is not known"

line early >"$directory/logs/a.log"
configure "" ""
run
read_to "$directory/logs/a.log" # its end is where reading begins
line late >>"$directory/logs/a.log"
is "$(reached 1)" 1 "does not read what was there before, unless told"
is "$(curl -s "http://127.0.0.1:$port/logs/_search?q=log:late" | jq -c '.hits.hits[0]._source["@timestamp"]')" \
    '"2026-01-02T03:04:05.678Z"' "the time is the line's"
end

long=$(head -c 20000 /dev/zero | tr '\0' x)
{ line "$long" '' && line "$long" '' && line end; } >"$directory/logs/b.log"
configure "    Read_from_Head On
    Docker_Mode On
    Buffer_Max_Size 1M" ""
run
is "$(reached 2)" 2 "joins the pieces of a long line, and does not repeat what it sent"
is "$(curl -s "http://127.0.0.1:$port/logs/_search" | jq '[.hits.hits[]._source.log | length] | max')" 40004 "the line is whole"
end

line "$long$long" >"$directory/logs/c.log"
line after >>"$directory/logs/c.log"
configure "    Read_from_Head On
    Skip_Long_Lines On
    Buffer_Max_Size 32k" ""
run
is "$(reached 3)" 3 "skips a line that does not fit its buffer, and reads on"
end

# an index where "stream" is a number refuses every line
curl -s -X DELETE "http://127.0.0.1:$port/logs" >/dev/null
curl -s -H 'Content-Type: application/json' "http://127.0.0.1:$port/logs/_doc" -d '{"stream": 7}' >/dev/null
configure "    Read_from_Head On" "    Retry_Limit 2"
sed -i '/scheduler.cap/a\    HTTP_Server On\n    HTTP_Port '$metrics "$directory/fluent-bit.conf"
line refused >"$directory/logs/d.log"
run
is "$(until_is "2 1 1" figures '(retries|retries_failed|dropped_records)_total[{]')" "2 1 1" \
    "gives up after the retries it was given, and counts that"
is "$(grep -c 'a document is refused: failed to parse field \[stream\] of type \[long\]' "$directory/messages")" 3 "tries that often"
curl -s -X DELETE "http://127.0.0.1:$port/logs" >/dev/null
line refused-no-more >>"$directory/logs/d.log"
is "$(reached 1)" 1 "goes on after that"
end

# the same records go to a server of the forward protocol too, and one that is not there is given up without harm
python3 tests/integration/addons/forward_receiver.py >"$directory/received" &
receiver=$!
forward_port() {
    head -1 "$directory/received"
}
until [ -n "$(forward_port)" ] || ! kill -0 $receiver 2>/dev/null; do
    sleep 0.1
done
rm -f "$directory"/logs/* "$directory"/state/*
configure "    Read_from_Head On" "    Retry_Limit 1
[OUTPUT]
    Name  forward
    Match kube.*
    Host  127.0.0.1
    Port  $(forward_port)
[OUTPUT]
    Name        forward
    Match       kube.*
    Host        127.0.0.1
    Port        1
    Retry_Limit 2"
sed -i '/scheduler.cap/a\    HTTP_Server On\n    HTTP_Port '$metrics "$directory/fluent-bit.conf"
# all three lines are read before the first is sent, so that they are one message
sed -i 's/^    Flush .*/    Flush 2/' "$directory/fluent-bit.conf"
{ line forwarded && line "$long" && line last; } >"$directory/logs/e.log"
run
received() { # how many records
    tail -n +2 "$directory/received" | jq -s 'map(.[1] | length) | add' 2>/dev/null
}
until_is 3 received >/dev/null
is "$(tail -n +2 "$directory/received" | jq -c '.[0] as $tag | .[2].size as $n | .[1] | [$tag, $n, length]' | head -1)" \
    "[\"kube${directory//\//.}.logs.e.log\",3,3]" "forwards a message a tag, with the number of its records"
is "$(tail -n +2 "$directory/received" | jq -c '[.[1][0][0], .[1][0][1].log, (.[1][1][1].log | length), .[1][2][1].log]' | head -1)" \
    '["1767323045.678000000","forwarded\n",20001,"last\n"]' "with their times, whole and in their order"
is "$(until_is "3 0 0 3 0 0 0 1 3" figures '(proc_records|retries_failed|dropped_records)_total[{]name="(forward|es)')" \
    "3 0 0 3 0 0 0 1 3" "counts for each output what was sent, and what was given up"
end
finish
