#!/bin/bash
# What verbs print with --json, by its shape, which programs rely on: json.sh LAB-PROGRAM NAME
set -u
lab() {
    "$program" --name "$name" "$@"
}
program=$1 name=$2 failed=0

# shape WHAT FILTER: standard input must be JSON of which FILTER holds
shape() {
    local text
    text=$(cat)
    jq -es "$2" >/dev/null 2>&1 <<<"$text" && return
    failed=1
    echo "$1: not as said: $2"
    head -c 2000 <<<"$text"
}

# until_shape WHAT FILTER VERB...: figures and tables have seconds, which a loaded machine may miss: they are read again.
until_shape() {
    local what=$1 filter=$2 end=$((SECONDS + 300)) text
    shift 2
    while text=$(lab "$@"); ! jq -es "$filter" >/dev/null 2>&1 <<<"$text" && [ $SECONDS -lt $end ]; do sleep 1; done
    shape "$what" "$filter" <<<"$text"
}

fault=$(lab fault metadata-slow 1 --for 600)
lab status --json | shape status '.[0] | .lab == "'"$name"'" and .created and (.cluster_id | startswith("cl-")) and .at_ns > 1e18
    and (.cluster | .running == false and (.event | type) == "string" and .begin_ns <= .end_ns and (.status | type) == "number")
    and (.machines | length == 5 and all(.state == "running" and (.role | type) == "string" and (.ip | test("^192\\.168\\."))
        and (.instance_id | startswith("i-")) and (.node_id | startswith("cln-")) and (.event | type) == "string"
        and (.running | type) == "boolean" and (.health | IN(null, "healthy", "unhealthy"))))
    and (.machines[] | select(.machine == "node-1") | .health == "healthy" and .health_since_ns < now * 1e9)
    and (.faults | length == 1) and (.faults[0] | .id == "'"$fault"'" and .fault == "metadata-slow" and .until_ns > .at_ns)'
lab fault end all

until_shape monitor '.[0] | keys == ["log-1", "log-2", "master-1", "node-1"] and .["node-1"].disk_use > 0
    and all(.[]; type == "object" and all(.[]; type == "number" or type == "string"))' monitor --json
until_shape "monitor node-1" '.[0] | keys == ["node-1"]' monitor --json node-1

for tab in nodes components certificates kubeconfig; do
    until_shape "tab $tab" 'length == 1 and (.[0] | (.labels | length > 0 and all(type == "string"))
        and (.labels | length) as $columns | (.data | length > 0 and all(type == "array" and length == $columns)))' tab --json "$tab"
done

lab events --json | shape events 'length > 50 and all(.machine == null or (.role | type) == "string" or .kind == "fault")
    and (map(select(.kind == "event")) | all((.id | type) == "string" and (.event | type) == "string" and .begin_ns <= .end_ns
        and ((.end_ns - .begin_ns) / 1e6 - .ms | fabs) < 2 and (.begin | endswith("Z")) and (.status | type) == "number"
        and (.text == null or ((.text.en | type) == "string" and (.text.zh | type) == "string"))
        and (.status == 0 or (.error | type) == "string")
        and (.steps == null or (.steps | all(.begin_ns <= .end_ns and (.name | type) == "string" and (.result | type) == "string")))))
    and any(.kind == "event" and .event == "check" and .status == 24 and .text.en == "A health check failed")
    and any(.kind == "event" and .event == "create" and .machine == null and .status == 0)
    and any(.kind == "event" and .event == "init" and (.steps | length) > 3)
    and (map(select(.kind == "health") | .health) | contains(["unhealthy", "healthy"]))
    and (map(select(.kind == "fault")) | (map(select(.state == "begin").id) | sort) == (map(select(.state == "end").id) | sort))
    and all(.kind | IN("event", "begin", "health", "fault", "action"))'
lab events -n 3 --json node-1 | shape "events -n 3 node-1" 'length == 3 and all(.machine == "node-1")'
exit $failed
