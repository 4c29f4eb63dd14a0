#!/bin/bash
# How each verb fails, where no machine runs: its status, what it says, what to do next, and that nothing has changed and
# nothing is left. A user copies what stands behind "next:", so it must name the lab, and verbs that there are.
set -u
. tests/integration/tap.bash
program=$PWD/${BUILD:-build}/lab/lab
name=failures-$$
lab=/var/tmp/k8s-lab-$name
work=$(mktemp -d)
output=$work/output
if [ "$(id -u)" != 0 ]; then
    skipped "how verbs fail" "the lab runs as root"
    finish
    exit
fi
drop() {
    ip netns delete "k8s-lab-$name" 2>/dev/null
    rm -rf "$lab"
}
trap 'drop; rm -rf "$work"' EXIT

machine() { # ROLE SID
    printf '{"name": "%s-%s", "role": "%s", "sid": %s, "node_id": "cln-%s%s", "instance_id": "i-%s%s", "ip": "192.168.100.%s",
        "mac": "52:54:00:00:64:0%s", "adding": false, "deleting": false, "nspawn": [0, 0], "leader": [0, 0]}' \
        "$1" "$2" "$1" "$2" "$1" "$2" "$1" "$2" "$3" "$3"
}

# state CREATED: what the lab writes of four machines that are off
state() {
    mkdir -p "$lab"
    cat >"$lab/lab.json" <<JSON
{"cluster_id": "cl-00000000", "profile": "product", "app": "$PWD/templates/appcenter", "env": {}, "links": {}, "next_host": 6,
 "values": {"cluster": {"master": {"count": 1}, "node": {"count": 2}, "ssd_node": {"count": 0}, "log": {"count": 0}, "client": {"count": 1}}},
 "metad": [0, 0], "cloud": [0, 0], "created": $1, "layers": [],
 "machines": [$(machine master 1 2), $(machine node 1 3), $(machine node 2 4), $(machine client 1 5)]}
JSON
}

put() { # STATE
    drop
    case $1 in
    none) ;;
    begun) mkdir "$lab" ;;                      # killed before it had machines
    broken) state true && echo >"$lab/lab.json" ;;
    restarted) state true ;;                    # of this host: the network is gone
    stopped) state true && ip netns add "k8s-lab-$name" ;;
    machines) state false && ip netns add "k8s-lab-$name" ;;
    esac
}

# All there is of the lab, and when it was written. That a verb was refused is in its record; the locks may have come.
left() {
    find "$lab" "/run/netns/k8s-lab-$name" ! -path "$lab" ! -name events.jsonl ! -name '*lock' -printf '%p %s %T@\n' 2>/dev/null
    [ "$in" != none ] || [ ! -e "$lab" ] || echo "$lab"
}

# advice NEXT: complaints about the "next:" line, each command of which must be one of the lab
advice() {
    local line lines=() words i
    mapfile -t lines < <(grep '^next: ' "$output")
    line="${lines[*]}"
    [ ${#lines[@]} = 1 ] || echo "not one line with what to do next"
    [[ $line == "next: $1"* ]] || echo "expected: next: $1"
    read -r -a words <<<"${line//[,;]/ }"
    for i in "${!words[@]}"; do
        [ "${words[i]}" = lab ] || continue
        [ "${words[i + 1]}" != --name ] || i=$((i + 2))
        [[ " $verbs sh --help " == *" ${words[i + 1]} "* ]] || echo "there is no verb ${words[i + 1]}"
    done
}

verbs=$("$program" --help | sed -n 's/^  \([a-z0-9-]*\) .*/\1/p' | xargs)
put='' tried=' ' before=''
while IFS='|' read -r in words status message next; do
    if [ "$put" != "$in" ]; then
        put "$in"
        put=$in before=$(left)
    fi
    tried+="${words%% *} "
    read -r -a argv <<<"${words//LAB/$lab}"
    timeout 300 "$program" --name "$name" "${argv[@]}" >"$output" 2>&1 </dev/null
    found=$?
    next=${next//@/lab --name $name}
    said=$(<"$output") message=${message//LAB/$lab}
    complaints=$(
        [ $found = "$status" ] || echo "status $found, not $status"
        [[ $said == *"$message"* ]] || echo "expected: $message"
        advice "${next//LAB/$lab}"
        after=$(left)
        [ "$before" = "$after" ] || printf 'left: %s\nthere was: %s\n' "$after" "$before"
    )
    result "$in: lab $words" "$complaints${complaints:+$'\n'$said}"
done <<CASES
none|status|2|there is no lab $name|@ create
none|status --json|2|there is no lab|@ create
none|events|2|there is no lab|@ create
none|health|2|there is no lab|@ create
none|monitor|2|there is no lab|@ create
none|tab nodes|2|there is no lab|@ create
none|metadata|2|there is no lab|@ create
none|logs node-1|2|there is no lab|@ create
none|fault|2|there is no lab|@ create
none|exec node-1 true|2|there is no lab|@ create
none|shell node-1|2|there is no lab|@ create
none|agent node-1 tests/e2e/reload|2|there is no lab|@ create
none|event node-1 check|2|there is no lab|@ create
none|set max_pods 80|2|there is no lab|@ create
none|add node=1|2|there is no lab|@ create
none|delete node-1|2|there is no lab|@ create
none|stop|2|there is no lab|@ create
none|start|2|there is no lab|@ create
none|restart|2|there is no lab|@ create
none|resize node cpu=4|2|there is no lab|@ create
none|upgrade v1.20.3|2|there is no lab|@ create
none|backup|2|there is no lab|@ create
none|restore monday|2|there is no lab|@ create
none|delete-cluster|2|there is no lab|@ create
none|report|2|the record holds no event|@ create
none|report --from /none|2|reading /none: No such file|lab report --help
none|image now|2|'now': one argument too many|lab image --help
none|up master=0|2|must be one of: 1|lab up --help
none|create --set env.max_pods=61|2|must be one of: 60, 80, 100|lab create --help
none|create --package /none|2|--package /none: No such file|lab create --help
none|create --confd /none|2|reading /none/conf.d: No such file|lab create --help
none|demo database=1|2|ROLE one of: master node ssd_node log client|lab demo --help
none|e2e none|2|no scenario 'none'|lab e2e --help
none|down now|2|'now': one argument too many|lab down --help
none|frob|2|no verb 'frob'|lab --help
none|status --frob|2|'--frob' is not an option of lab status|@ status --help
begun|exec node-1 true|2|lab $name has no machines|@ down
begun|create|2|lab $name is there already|@ down
begun|stop|2|lab $name has no machines|@ down
broken|status|15|LAB/lab.json:|@ down
broken|create|15|LAB/lab.json:|@ down
restarted|create|2|lab $name is there already|@ down
restarted|exec node-1 true|2|machine node-1 is off|@ start, @ fault end power-cut
restarted|health|2|as after a restart of this host|@ start, @ down
restarted|stop|2|as after a restart of this host|@ start, @ down
restarted|logs node-1 init|2|there is no LAB/machines/node-1/init.out|@ events node-1
stopped|up|2|lab $name is there already|@ down
stopped|demo|2|lab $name is there already|@ down
stopped|events frob|2|no machine 'frob' in lab $name; there are: master-1 node-1 node-2 client-1|lab events --help
stopped|events -n many|2|-n many: a number from 1|lab events --help
stopped|report|2|the record holds no event|@ create
stopped|health|2|machine master-1 is off|@ start
stopped|health frob|2|no machine 'frob'|lab health --help
stopped|health --rounds none|2|health [--interval SECONDS] [--rounds N]|lab health --help
stopped|monitor|2|machine master-1 is off|@ start
stopped|monitor frob|2|no machine 'frob'|lab monitor --help
stopped|tab nodes|2|machine master-1 is off|@ start
stopped|tab frob|2|no tab 'frob': the app package has the tabs: nodes|lab tab --help
stopped|metadata|2|machine master-1 is off|@ start
stopped|metadata --as node|2|no machine 'node'|lab metadata --help
stopped|logs node-1|2|machine node-1 is off, its journal is gone|@ logs node-1 --console
stopped|logs node-1 --console|2|there is no LAB/machines/node-1/console.log|@ events node-1
stopped|logs node-1 --all init|2|one of --unit, --all, --console and EVENT|lab logs --help
stopped|logs|2|logs MACHINE|lab logs --help
stopped|fault frob|2|no fault 'frob'; there are: metadata-slow|lab fault --help
stopped|fault kill node-1|2|fault kill MACHINE UNIT|lab fault --help
stopped|fault cut node-1|2|machine node-1 is off|@ start
stopped|fault cut frob|2|no machine 'frob'|lab fault --help
stopped|fault metadata-slow soon|2|'soon' is not a number of milliseconds|lab fault --help
stopped|fault metadata-slow|10|PUT http://192.168.100.1|@ status, @ events; the servers' logs: LAB/metad.log, LAB/cloud.log
stopped|fault end f-none|2|no fault is 'f-none'|@ fault
stopped|fault kill node-1 x --for 5|2|fault kill MACHINE UNIT|lab fault --help
stopped|exec node-1 true|2|machine node-1 is off|@ start
stopped|exec node true|2|no machine 'node' in lab $name|lab exec --help
stopped|exec node-1|2|exec MACHINE COMMAND|@ shell
stopped|shell node-1|2|machine node-1 is off|@ start
stopped|shell frob|2|no machine 'frob'|lab shell --help
stopped|sh frob true|2|no machine 'frob'|lab sh --help
stopped|agent node-1 /none|2|reading /none/conf.d: No such file|lab agent --help
stopped|agent frob tests/e2e|2|no machine 'frob'|lab agent --help
stopped|event node-1 check|2|machine node-1 is off|@ start
stopped|event frob check|2|no machine 'frob'|lab event --help
stopped|event node-1|2|event MACHINE NAME|lab event --help
stopped|set max_pods|2|set KEY VALUE|lab set --help
stopped|set max_pods 61|2|machine master-1 is off|@ start
stopped|add node=many|2|'node=many' is not ROLE=N|lab add --help
stopped|add node=1|2|machine master-1 is off|@ start
stopped|delete|2|delete [--force] MACHINE|lab delete --help
stopped|delete node-1|2|machine master-1 is off|@ start
stopped|stop now|2|'now': one argument too many|lab stop --help
stopped|stop|2|machine master-1 is off|@ start
stopped|start now|2|'now': one argument too many|lab start --help
stopped|restart|2|machine master-1 is off|@ start
stopped|resize frob cpu=2|2|has no machine of the role 'frob'|lab resize --help
stopped|resize node cpu=many|2|nothing was changed: CPU (cluster.node.cpu): must be an integer|lab resize --help
stopped|resize node count=3|2|the count changes with|@ add, @ delete
stopped|resize node cpu=4|2|machine master-1 is off|@ start
stopped|upgrade v1.19.0|2|v1.20.N is required|lab upgrade --help
stopped|upgrade v1.20.3|2|machine master-1 is off|@ start
stopped|backup monday /data|2|backup [NAME] [KEY=VALUE...]|lab backup --help
stopped|backup|2|machine master-1 is off|@ start
stopped|restore monday|2|machine master-1 is off|@ start
stopped|delete-cluster now|2|'now': one argument too many|lab delete-cluster --help
stopped|delete-cluster|2|machine master-1 is off|@ start
machines|set max_pods 80|2|lab $name has no cluster|@ down, @ create
machines|stop|2|lab $name has no cluster|@ down, @ create
CASES
missing=
for verb in $verbs; do
    [[ $tried == *" $verb "* ]] || missing+="$verb "
done
result "all verbs were tried" "$missing"

for _ in $(seq 600); do # one that was killed may not be gone yet
    running=$(pgrep -af -- "--name $name |$lab/") || break
    sleep 0.1
done
result "no process is left" "$running"

# The image fails, as nothing can be made where it is kept
put none
in=none
touch "$work/file"
for verb in image "up --set env.es_server=10.0.0.2:9200" "create --set env.es_server=10.0.0.2:9200" demo; do
    read -r -a argv <<<"$verb"
    K8S_HOOKS_CACHE=$work/file/cache "$program" --name "$name" "${argv[@]}" >"$output" 2>&1
    status=$?
    said=$(<"$output")
    result "without room for the image, lab ${argv[0]} says so and leaves nothing" "$(
        [ $status = 15 ] && [[ $said == *"$work/file as a directory: Not a directory"* ]] || echo "status $status: $said"
        advice "lab --name $name ${argv[0]}, once that is mended"
        left
    )"
done

put begun
"$program" --name "$name" status --json >"$output"
is "$? $(jq -c '[.created, .machines]' "$output")" "0 [false,[]]" "a lab without machines has a status"
put broken
"$program" --name "$name" down >"$output" 2>&1
result "down ends a lab whose state cannot be read" "$(cat "$output"; ls -d "$lab" 2>/dev/null)"
put stopped
"$program" --name "$name" down >"$output" 2>&1
result "and one that is stopped, with its network" "$(cat "$output"; ls -d "$lab" "/run/netns/k8s-lab-$name" 2>/dev/null)"
"$program" --name >"$output" 2>&1
is "$? $(head -1 "$output")" "2 lab: --name requires a value" "--name without a value"
finish
