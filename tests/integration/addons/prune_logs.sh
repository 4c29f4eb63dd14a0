#!/bin/bash
# `prune-logs` deletes the daily indices that are past keep_log_days, and nothing else, on each release of Elasticsearch.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
printf 'paths { opt = "%s/tests/golden/opt" state = "%s/state" }\n' "$PWD" "$work" >"$work/hook.conf"
mkdir "$work/state"
"$build/lab/cluster-view" es-server master >"$work/view.json"
mkfifo "$work/port"

# a day that ends while this runs would be another one for the program
left=$((86400 - $(date +%s) % 86400))
[ $left -gt 300 ] || sleep $left

# day N: the day N days before today, as Fluent Bit names it
day() {
    date --utc --date="today -$1 days" +%Y.%m.%d
}

# serve RELEASE NOW: an Elasticsearch that holds what is past its time, what is not, and what has another name
serve() {
    [ -z "$server" ] || { kill "$server" && wait "$server" 2>/dev/null; }
    rm -f "$work/requests"
    touch "$work/requests"
    {
        printf '%s\n' "logstash-$(day 0)" "logstash-$(day 1)" "logstash-$(day 3)" "logstash-$(day 4)" logstash-2020.01.31 \
            "heapster-$(day 9)" "heapster-cpu-$(day 9)" "heapster-cpu-$(day 2)" "heapster-a%2fb-2020.01.01" \
            logstash-2020.02.30 logstash-2020.13.01 logstash-2020.01.01-000001 logstash-app-2020.01.01 \
            logstash-20.01.01 my-2020.01.01 2020.01.01 logstash-2020.01.01.kept .kibana_1 \
            .ds-logstash-2020.01.01-000001 heapster--2020.01.01
        printf '%s closed\n' logstash-2019.01.01
        [ "$1" = guarded ] || printf '%s frozen\n' logstash-2019.01.02
        # not a name that any release allows: a pattern would match all of them
        printf '%s\n' 'heapster-*-2020.01.01' 'heapster-x,my-2020.01.01' "heapster-<now>-2020.01.01"
    } | sed "${4:-}" | jq --raw-input --null-input --argjson now "$2" '{now: $now, aliases: {"heapster-cpu-2018.01.01": ".kibana_1"},
        indices: ([inputs | split(" ")] | map({key: .[0], value: (if .[1] then {(.[1]): true} else {} end)}) | from_entries)}' \
        >"$work/state.json"
    jq --raw-output '.indices | keys[]' "$work/state.json" | sort >"$work/before"
    python3 tests/integration/addons/elasticsearch_releases.py "$1" "$work/state.json" >"$work/port" &
    server=$!
    read -r port <"$work/port"
}

# prune DAYS OPTION...
prune() {
    jq --arg days "$1" --arg server "127.0.0.1:$port" '.env.keep_log_days = $days | .env.es_server = $server' \
        "$work/view.json" >"$work/metadata.json"
    output=$("$build/bin/k8s-master" prune-logs --config "$work/hook.conf" --metadata "$work/metadata.json" "${@:2}" 2>&1)
    status=$?
}

# gone NAME...: complains unless exactly these are
gone() {
    diff <(printf '%s\n' "$@" | grep . | sort) \
        <(comm -23 "$work/before" <(jq --raw-output '.indices | keys[]' "$work/state.json" | sort))
}

now=$(date +%s)
past="logstash-$(day 4) logstash-2020.01.31 heapster-$(day 9) heapster-cpu-$(day 9) heapster-a%2fb-2020.01.01"
for release in 5 6 7 8 opensearch guarded; do
    serve $release "$now"
    # shellcheck disable=SC2086
    prune 3 && result "$release: what is older than 3 days goes" "$(expect 0; frozen=$([ $release = 5 ] && echo logstash-2019.01.02)
        gone $past $frozen)"
    result "$release: one request an index, by its escaped name" "$(diff <(printf 'DELETE /%s\n' \
        "heapster-a%252fb-2020.01.01") <(grep a%25 "$work/requests"))"
    prune 3 && result "$release: again there is nothing to do" "$(expect 0 "0 indices"; [ "$(grep -c ^DELETE "$work/requests")" -le 6 ] ||
        cat "$work/requests")"
done

serve 7 "$now"
prune 0 && result "0 keeps all" "$(expect 0 "all logs are kept"; gone)"
prune 3 --dry-run && result "--dry-run names what it would delete and deletes nothing" "$(gone
    diff <(printf '%s\n' $past | sort) <(sed -n 's/^would delete index //p' <<<"$output" | sort))"
prune 1 && result "1 keeps yesterday" "$(expect 0; gone $past "logstash-$(day 3)" "heapster-cpu-$(day 2)")"

serve 7 $((now - 86400 * 3650))
prune 3 && result "a clock ten years ahead of Elasticsearch's deletes nothing" "$(expect 0 "days apart"; gone)"
serve 7 $((now + 86400 * 3650))
prune 3 && result "nor does Elasticsearch's, ten years ahead of ours" "$(expect 0 "days apart"
    gone $past)"

serve 8 "$now" - 's/^logstash-2020.01.31$/& read_only/'
prune 3
result "one that is read-only is reported, the others go" "$(expect 102 "logstash-2020.01.31" "read-only"
    gone ${past/logstash-2020.01.31 /})"
kill "$server" && wait "$server" 2>/dev/null
server=
prune 3
result "without an answer it fails with its own status" "$(expect 102 "127.0.0.1:$port")"
result "the run stands in status" "$(grep --quiet prune-logs \
    <<<"$("$build/bin/k8s-master" status --config "$work/hook.conf" --metadata "$work/metadata.json")" || echo "no prune-logs in status")"
finish
