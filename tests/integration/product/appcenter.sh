#!/bin/bash
# The app package: what AppCenter's developer guide asks of config.json, cluster.json.mustache and locale/, the package filled
# in with the form's defaults, and that the hooks know what it calls and accept what it lets users enter.
set -uo pipefail
. tests/integration/tap.bash
bin=${BUILD:-build}/bin
package=templates/appcenter
form=$package/config.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cluster=$work/cluster.json

# check DESCRIPTION FILE PROGRAM [OPTION...]: passes when the jq program prints nothing
check() {
    local description=$1 file=$2 program=$3
    shift 3
    result "$description" "$(jq --raw-output "$@" "$program" "$file" 2>&1)"
}

plain_json() {
    [ "$(head -c 3 "$1")" != $'\xef\xbb\xbf' ] || echo "starts with a byte-order mark"
    jq empty "$1" 2>&1
}
for file in "$form" "$package"/replace_policy.json "$package"/locale/*.json; do
    result "${file#"$package"/} is JSON without a byte-order mark" "$(plain_json "$file")"
done

# Every item of the form that holds a value, with its path in the template.
leaves='def leaves($at): .properties[] |
    if .type == "array" then .key as $key | leaves($at + [$key]) else . + {path: ($at + [.key])} end;'

check "every item says what the form needs" "$form" "$leaves"'
    leaves([]) | select((.label and .description and (.required | IN("yes", "no")) and (.required == "yes" or has("default"))
        and (.type | IN("string", "integer", "boolean", "password", "service"))) | not) | .path | join(".")'

check "every default is of its type, in its range and matches its pattern" "$form" "$leaves"'
    def kind: if . == "integer" then "number" elif . == "boolean" then . else "string" end;
    def fits: .default as $value | ($value | type) == (.type | kind)
        and (.range == null or any(.range[]; . == $value))
        and (.min == null or $value >= .min) and (.max == null or $value <= .max)
        and (.pattern == null or (.pattern as $pattern | $value | test($pattern)));
    leaves([]) | select(has("default") and .default != "" or .required == "no") | select(fits | not) | .path | join(".")'

# AppCenter writes each value as JSON where the template names it.
jq "$leaves"'[leaves([])] | reduce .[] as $item ({}; setpath($item.path;
        (if $item.path[1] == "access_key_id" then "ABCDEFGHIJKLMNOPQRST"
        elif $item.path[1] == "secret_access_key" then "0123456789abcdefghijABCDEFGHIJ0123456789"
        elif $item.path[1] == "vxnet" then "vxnet-ab12cd3" else $item.default end) | tojson))' "$form" >"$work/values.json"
fill_in() {
    "$bin/k8s-hook" template $package/cluster.json.mustache --context "$work/values.json" --strict 2>&1 >"$cluster" &&
        jq empty "$cluster" 2>&1
}
result "the template filled in with the form's defaults is JSON" "$(fill_in)"

# The console alone has a use for the resource group.
unused() {
    jq --raw-output "$leaves"'leaves([]) | .path | join(".") | select(. != "cluster.resource_group")' "$form" |
        while read -r name; do
            grep -qF "{{$name}}" $package/cluster.json.mustache || echo "$name"
        done
}
result "the template uses every item of the form" "$(unused)"

check "a resource group has a value for each item it sets: one that is allowed, and for the default group the default" "$form" "$leaves"'
    (.properties[] | select(.key == "cluster").properties[] | select(.key == "resource_group")) as $groups
    | ($groups.range | index($groups.default)) as $default | leaves([]) | select(has("resource_group"))
    | select((.resource_group | length) != ($groups.range | length) or .resource_group[$default] != .default
        or (.key | IN("cpu", "memory", "count", "instance_class", "volume_size", "volume_class", "replica") | not)
        or (. as $item | any(.resource_group[]; . as $value | ($item.range != null and all($item.range[]; . != $value))
            or ($item.min != null and $value < $item.min) or ($item.max != null and $value > $item.max))))
    | .path | join(".")'

check "the environment has every parameter of the form and no other" "$cluster" '
    ($form[0].properties[] | select(.key == "env").properties | map(.key) | sort) as $asked
    | (.env | keys) as $given | ($asked - $given + ($given - $asked))[]' --slurpfile form "$form"

check "roles are master, node, ssd_node, log and client, each with what a role needs" "$cluster" '
    if [.nodes[].role] != ["master", "node", "ssd_node", "log", "client"] then "roles" else empty end,
    (.nodes[] | select((.container.type == "kvm" and (.container.image | startswith("img-")) and .container.zone
        and all(.count, .cpu, .memory, .instance_class; type == "number")
        and ((.role == "client") != (.volume.mount_point == "/data"))
        and (.role == "client") == (.user_access == true) and .passphraseless == "ssh-rsa") | not) | .role)'

# Where a zone has no machines of the classes 0 and 1 any more, AppCenter puts those of its own in their place.
check "a zone's other instance classes are for each that the package has" $package/replace_policy.json '
    ([$cluster[0].nodes[].instance_class] + [$form[0] | .. | objects | select(.key? == "instance_class") | .range[]] | unique)
        as $classes
    | to_entries[] | select((.value | keys) != ["instance_class"]
        or ([.value.instance_class[].src] | sort) != ($classes | map(tostring))
        or any(.value.instance_class[]; .dst | IN(101, 201, 202, 301) | not)) | .key' \
    --slurpfile cluster "$cluster" --slurpfile form "$form"

check "services are the platform's or custom, with a command and a time-out AppCenter takes" "$cluster" '
    ["init", "start", "stop", "restart", "scale_out", "scale_in", "destroy", "upgrade", "backup", "restore",
        "delete_snapshot"] as $known
    | .nodes[] | .role as $role | .services | to_entries[]
    | select((((.key | IN($known[])) != (.value.type == "custom")) and (.value.cmd | startswith("/"))
        and .value.timeout > 0 and .value.timeout <= 86400
        and ((.value | has("pre_check") | not) or (.key | IN("scale_in", "scale_out", "upgrade")))
        and ((.value | has("post_start_service") | not) or (.key | IN("init", "upgrade")))
        and ((.value | has("post_stop_service") | not) or .key == "destroy")) | not) | "\($role) \(.key)"'

check "create and start begin at the master and end at the client, stop the other way round" "$cluster" '
    def order($event): [.nodes[] | {role, order: .services[$event].order}] | sort_by(.order);
    (("start", "restart", "upgrade") as $event | order($event) | select(.[0].role != "master" or .[-1].role != "client")
        | $event), (order("stop") | select(.[0].role != "client" or .[-1].role != "master") | "stop")'

# A node's own part is done while the master makes the control plane.
check "no init of a node waits for the master's" "$cluster" '
    ([.nodes[] | select(.role == "master").services.init.order // 0][0]) as $master
    | .nodes[] | select(.role | IN("node", "ssd_node", "log"))
    | select((.services.init.order // 0) > $master or .services.init.post_start_service) | .role'

check "a custom backup has all its services" "$cluster" '
    .nodes[] | select(.role == "master") | .services | ("backup", "restore", "delete_snapshot") as $service
    | select(has($service) | not) | $service'

check "health checks are within the bounds of the platform" "$cluster" '
    .nodes[] | select(.health_check | (.enable and .interval_sec >= 60 and .timeout_sec >= 3
        and .timeout_sec <= .interval_sec and .action_timeout_sec >= 3 and .healthy_threshold >= 2
        and .unhealthy_threshold >= 2) | not) | .role'

check "monitors have at most 50 items, and groups, display and alarms name them" "$cluster" '
    def complaints: (.items | keys) as $items | (.groups | keys) as $groups
        | (if ($items | length) > 50 then "too many items" else empty end),
        (.items | to_entries[] | select((.value.value_type == "int" and (.value.statistics_type
            | IN("min", "max", "avg", "delta", "rate", "mode", "median", "latest"))) | not) | .key),
        (.groups | to_entries[] | select((.value | length) < 1 or (.value | length) > 5) | .key),
        ((([.groups[][]] + .alarm) - $items)[]), ((.display - $items - $groups)[]);
    .nodes[] | select(.role != "client") | "\(.role) \(.monitor | complaints)"'

check "there are at most 5 tabs, run on roles that are always there" "$cluster" '
    (.display_tabs | select(length > 5) | "too many"), ([.nodes[] | select(.count > 0).role] as $there
    | .display_tabs | to_entries[] | select(((.value.roles_to_execute_on - $there) != [] or .value.timeout > 10)) | .key)'

# What the console shows of the package, and so must be in each language.
jq --raw-output --slurpfile cluster "$cluster" '
    [.. | objects | select(has("label")) | .label, .description] + [.properties[].description]
    + [.. | objects | select(.key? == "resource_group") | .range[]]
    + ($cluster[0] | [.nodes[].services | to_entries[] | select(.value.type == "custom") | .key]
        + [.nodes[].monitor // {} | (.items, .groups // {} | keys[])] + [.nodes[].advanced_actions // [] | .[]]
        + [.display_tabs | to_entries[] | .key, .value.description]) | unique' "$form" >"$work/shown.json"
for locale in en zh-cn; do
    check "locale $locale has every text that is shown, and every error text of the status table, and no other" \
        "$package/locale/$locale.json" '
        ($statuses[0] | map(select(.status != 0) | {key: "err_code\(.status)", value: .[$locale]}) | from_entries) as $errors
        | (with_entries(select(.key | startswith("err_code"))) as $written | ($errors | to_entries[])
            | select($written[.key] != .value) | "\(.key) is not \"\(.value)\": make locale"),
        ((keys - ($errors | keys) - $shown[0])[] | "\(.): not shown"), ((($shown[0]) - keys)[] | "\(.): missing"),
        (to_entries[] | select(.value == "") | "\(.key): empty")' \
        --arg locale $locale --slurpfile shown "$work/shown.json" --slurpfile statuses <("$bin/k8s-hook" statuses --json)
done

# commands: each as "binary event..."
unknown_commands() {
    jq --raw-output '[.. | objects | .cmd, .pre_check, .check_cmd, .action_cmd | strings] | unique[]' "$cluster" |
        while read -r command event option _; do
            [[ $command == /opt/kubernetes/bin/* ]] || echo "$command is not where make install puts the hooks"
            listed=$(grep -E "^ +$event( |$)" <<<"$("$bin/${command##*/}" --help)") || echo "$command has no event $event"
            [[ $option != --check || $listed == *"--check: pre-check" ]] || echo "$command $event has no --check"
        done
}
result "the hooks have every event that is called" "$(unknown_commands)"

# The smallest cluster that the form gives, as the metadata would tell it.
jq '{cluster: {app_id: "app-00000000", cluster_id: "cl-00000000", user_id: "usr-00000000", vxnet, zone: "pek3a"},
    env: (.env | map_values(tostring)),
    hosts: ([.nodes | to_entries[] | .key as $i | .value | . as $node | {key: .role, value: ([range(.count)
        | {key: "i-\($node.role)\(.)", value: {ip: "192.168.\($i + 2).\(. + 2)", sid: "\(. + 1)",
        node_id: "cln-\($node.role)\(.)", mac: "52:54:00:00:00:01", role: $node.role, instance_id: "i-\($node.role)\(.)",
        cpu: "\($node.cpu)", memory: "\($node.memory)"}}] | from_entries)} | select(.value != {})] | from_entries)}
    | {self: (. + {host: .hosts.master["i-master0"]})}' "$cluster" >"$work/metadata.json"
result "the hooks accept what the form's defaults give" \
    "$("$bin/k8s-hook" config check --metadata "$work/metadata.json" >"$work/config.log" 2>&1 || cat "$work/config.log")"

finish
