#!/bin/bash
# Kibana is left out with an Elasticsearch that it refuses. The sample that is imported into it: whole, with nothing it refers
# to missing, and about fields that Fluent Bit writes as this cluster has it set up.
set -uo pipefail
. tests/integration/tap.bash
. tests/integration/files/rendered.bash
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
render ssd-nodes client "$work/client"
render ssd-nodes master "$work/master"
sample=$work/client/opt/kubernetes/sample/kibana
fluent_bit=$work/master/data/kubernetes/hooks/addons/fluent-bit.yaml
objects=$sample/logs.ndjson

# each line one object, and JSON again in those members whose names say so
unfold='.attributes.kibanaSavedObjectMeta.searchSourceJSON |= (select(.) | fromjson)
    | .attributes |= with_entries(if .key | test("JSON$|^visState$") then .value |= fromjson else . end)'
result "each line is an object of Kibana's" "$(jq --compact-output "$unfold
    | select((.type and .id and .attributes.title and .references and .migrationVersion[.type]) | not)" "$objects" 2>&1)"
result "no two are the same" "$(jq --raw-output '"\(.type) \(.id)"' "$objects" | sort | uniq -d)"
jq --compact-output "$unfold" "$objects" >"$work/objects"
result "every object that is referred to exists" "$(jq --raw-output --slurp '[.[] | {type, id}] as $there | .[].references[]
    | select({type, id} as $one | $there | index($one) | not) | "\(.type) \(.id)"' "$work/objects")"
result "every reference is used, and every one that is used is there" "$(diff <(jq --raw-output '.id as $id
    | .references[] | "\($id) \(.name)"' "$work/objects" | sort) <(jq --raw-output '.id as $id
    | .. | objects | .indexRefName?, .panelRefName? | select(.) | "\($id) \(.)"' "$work/objects" | sort))"

# has PLUGIN KEY VALUE: the setting in that section of the rendered configuration
has() {
    awk -v name="$1" -v key="$2" -v value="$3" '$1 ~ /^\[/ {inside = 0} $1 == "Name" {inside = $2 == name}
        inside && $1 == key && $2 == value {found = 1} END {exit !found}' "$fluent_bit" || echo "$1 has no $2 $3"
}
result "Fluent Bit writes the fields that the list below has" "$(has es Logstash_Format On; has es Logstash_Prefix logstash
    has docker Format json; has docker Time_Key time; has docker Time_Keep On; has kubernetes Match "kube.*"
    has systemd Strip_Underscores On; has modify Add node)"
fields="@timestamp log stream time node MESSAGE PRIORITY SYSTEMD_UNIT kubernetes.pod_name kubernetes.namespace_name \
    kubernetes.container_name kubernetes.host"

# columns, sort and aggregation fields, those of queries (NAME : VALUE), and of timelion (timefield=, split=NAME:COUNT)
used() {
    jq --raw-output '.. | objects | .columns?[]?, .sort?[]?[0], .timeFieldName?, .params?.field?,
        ((.query?.query? // empty) | scan("([A-Za-z@_.]+) : ")[]),
        ((.expression? // empty) | scan("(?:timefield|split)=([A-Za-z@_.]+)")[]) | select(.)' "$work/objects"
}
result "fields are those that it writes" "$(used | sed 's/\.keyword$//' | sort -u | grep --invert-match --line-regexp \
    --fixed-strings --file=<(xargs -n1 <<<"$fields"))"
result "there are fields at all" "$(grep --quiet kubernetes.pod_name <<<"$(used)" || echo none)"
result "index patterns are those of its indices" "$(jq --raw-output '(select(.type == "index-pattern").attributes.title),
    (.. | .expression? // empty | scan("index=([^,]+)")[]) | select(. != "logstash-*")' "$work/objects")"

# imported as Kibana is asked to: a file by the name of NDJSON, and an answer of its own
mkdir "$work/bin"
cat >"$work/bin/curl" <<'CURL'
#!/bin/sh
echo "$*" >"$ASKED"
echo "$ANSWER"
CURL
chmod +x "$work/bin/curl"
import() {
    ASKED=$work/asked ANSWER=$1 PATH=$work/bin:$PATH sh "$sample/run.sh" 2>&1
}
result "run.sh imports the file" "$(grep --quiet '^imported' <<<"$(import '{"success":true,"successCount":9}')" || echo "not imported"
    grep --quiet "kbn-xsrf: true --form file=@$objects http://kibana-logging.kube-system:5601/api/saved_objects/_import" \
        "$work/asked" || cat "$work/asked")"
result "and fails when Kibana does not take it" "$(import '{"success":false}' >/dev/null && echo "status 0")"

# an image with the Kibana that Elastic's 7.10.2 is
cp -r tests/golden/opt "$work/opt"
sed -i 's|kibana-oss:test|kibana-oss:7.10.2|' "$work/opt/versions.json"
echo "paths { opt = \"$work/opt\" }" >"$work/settings"
# addons_with NUMBER: what there is on the master once its event found that release at es_server, and the one before
addons_with() {
    mkdir -p "$work/outside/data/kubernetes/hooks"
    printf '{"number":"%s","opensearch":false,"server":"es.example.com:19200"}' "$1" \
        >"$work/outside/data/kubernetes/hooks/elasticsearch.json"
    render es-server master "$work/outside" "$work/settings"
    (cd "$work/outside/data/kubernetes/hooks/addons" && ls -- fluent-bit.yaml kibana.yaml 2>/dev/null)
}
is "$(addons_with 7.17.9 | xargs)" "fluent-bit.yaml kibana.yaml" "Kibana is there with an Elasticsearch of its major version"
is "$(addons_with 8.11.3 | xargs)" fluent-bit.yaml "with one of another it goes, and logs are sent there all the same"
is "$(addons_with 6.8.23 | xargs)" fluent-bit.yaml "and is not there with an older one"
finish
