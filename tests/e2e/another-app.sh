#!/bin/bash
# takes: 20
# Another app's package and confd files in the lab: what its agent cannot render is told, and the create goes on as
# AppCenter's does; what its services print and how they end is what a user sees; and every verb that changes a cluster, or
# looks into one, has its effect.
set -u
. tests/integration/tap.bash
lab="${BUILD:-build}/lab/lab --name another"
work=$(mktemp -d)
trap '$lab down >/dev/null 2>&1; rm -rf "$work"' EXIT
mkdir -p "$work"/package/locale "$work"/confd/{conf.d,templates}

cat >"$work/package/config.json" <<'JSON'
{"type": "array", "properties": [
  {"key": "cluster", "description": "", "type": "array", "properties": [
    {"key": "name", "label": "Name", "description": "", "type": "string", "default": "web", "required": "no"},
    {"key": "vxnet", "label": "VxNet", "description": "", "type": "string", "default": "", "required": "yes"},
    {"key": "web", "label": "Web", "description": "", "type": "array", "properties": [
      {"key": "cpu", "label": "CPU", "description": "", "type": "integer", "default": 1, "range": [1, 2], "required": "yes"},
      {"key": "memory", "label": "Memory", "description": "", "type": "integer", "default": 1024, "range": [1024], "required": "yes"},
      {"key": "count", "label": "Count", "description": "", "type": "integer", "default": 1, "min": 1, "max": 3, "required": "yes"}
    ]}
  ]},
  {"key": "env", "description": "", "type": "array", "properties": [
    {"key": "port", "label": "Port", "description": "", "type": "integer", "default": 80, "changeable": true, "required": "no"}
  ]}
]}
JSON
cat >"$work/package/cluster.json.mustache" <<'JSON'
{"name": {{cluster.name}}, "vxnet": {{cluster.vxnet}}, "nodes": [{
  "role": "web", "container": {"type": "kvm", "zone": "pek3a", "image": "img-00000000"},
  "count": {{cluster.web.count}}, "cpu": {{cluster.web.cpu}}, "memory": {{cluster.web.memory}},
  "advanced_actions": ["scale_horizontal"],
  "services": {
    "start": {"cmd": "grep -q port= /etc/web.conf"},
    "stop": {"cmd": "true"},
    "restart": {"cmd": "echo restarted >>/run/restarts"},
    "restore": {"cmd": "echo >/run/restored"},
    "backup": {"cmd": "echo the disk is old; echo no space for it >&2; exit 3"}
  }
}], "env": {"port": {{env.port}}}}
JSON
echo '{"err_code3": "No backup"}' >"$work/package/locale/en.json"
echo '{"err_code3": "无备份"}' >"$work/package/locale/zh-cn.json"
printf 'port={{getv "/env/port"}}\n' >"$work/confd/templates/web.tmpl"
resource() { # NAME DEST RELOAD
    printf '[template]\nsrc = "web.tmpl"\ndest = "%s"\nkeys = ["/env"]\nreload_cmd = "%s"\n' "$2" "$3" >"$work/confd/conf.d/$1.toml"
}
resource a-missing /opt/web/none/web.conf true
resource b-good /etc/web.conf "echo again >>/run/reloads; exit 9"

output=$($lab create --package "$work/package" web=1 --confd "$work/confd" 2>&1)
status=$?
result "create goes on where a file cannot be rendered, and where a reload fails" \
    "$(expect 0 "a-missing.toml: dest /opt/web/none/web.conf: there is no /opt/web/none" "AppCenter does not see it" "exit status 9")"
is "$($lab exec web cat /etc/web.conf /run/reloads 2>&1)" $'port=80\nagain' "the other file is rendered before the first event"
result "a parameter is set" "$($lab set port 81 2>&1 >/dev/null | grep -v 'b-good.toml\|a-missing.toml\|reload' ; $lab exec web grep -v port=81 /etc/web.conf)"
result "what failed is in the record" "$($lab events web-1 | grep -q 'reload  *[0-9.]* s  *9 ' || $lab events)"
read_port=$($lab metadata --as web-1 --text /self/env/port)
output=$($lab set port 8o 2>&1)
status=$?
result "a value that is refused is not in the metadata" \
    "$(expect 2 "must be an integer"; [ "$read_port $($lab metadata --as web-1 --text /self/env/port)" = "81 81" ] || echo changed)"

output=$($lab event web-1 backup 2>"$work/errors")
status=$?
is "$status $output" "3 the disk is old" "a service's output is standard output, its status that of lab"
result "what it printed to its standard error is told once, with what AppCenter shows, the log and the way on" \
    "$(diff "$work/errors" - <<TEXT
lab: web-1: backup: exit status 3; it printed:
no space for it
AppCenter shows: No backup / 无备份
log: /var/tmp/k8s-lab-another/machines/web-1/backup.out
next: lab --name another logs web-1 (what its hooks wrote), lab --name another shell web-1, then again: lab --name another event web-1 backup
TEXT
)"
result "logs has what an event printed" "$(diff <($lab logs web-1 backup) <(printf 'the disk is old\nno space for it\n'))"
result "events has the text of a status in both languages" \
    "$($lab events web-1 | grep -q 'backup  *[0-9.]* s  *3  *No backup / 无备份$' || $lab events)"
output=$($lab backup 2>&1)
status=$?
result "backup runs the service" "$(expect 3 "the disk is old" "No backup / 无备份")"
$lab restore monday path=/data
is "$($lab exec web-1 cat /run/restored)" '{"name":"monday","path":"/data"}' "restore gives the service its arguments"
$lab restart 2>"$work/errors" || cat "$work/errors"
is "$($lab exec web-1 cat /run/restarts)" restarted "restart runs the service"
result "the journal is the machine's, without the kernel's messages" \
    "$($lab logs web-1 --all >"$work/journal"; grep -q systemd "$work/journal" || echo empty; grep ' kernel: ' "$work/journal" | head -2)"

$lab fault power-cut web-1 >/dev/null 2>"$work/errors" || cat "$work/errors"
for verb in "exec web-1 true" "shell web-1" "logs web-1" "event web-1 start" "set port 82"; do
    # shellcheck disable=SC2086
    output=$($lab $verb 2>&1)
    status=$?
    result "$verb says that the machine is off" "$(expect 2 "machine web-1 is off")"
done
is "$($lab logs web-1 backup | head -1)" "the disk is old" "what an event printed outlives the machine"
result "start brings the machine back" "$($lab start 2>&1 | grep '^lab:'; $lab exec web true 2>&1)"

# follow FILE COMMAND...: runs on in a process group of its own, which Ctrl-C goes to
follow() {
    local file=$1
    shift
    set -m
    "$@" >"$file" 2>&1 &
    following=$!
    set +m
}

# seen FILE PATTERN: as soon as what is followed has printed it
seen() {
    timeout 300 grep -qE -- "$2" <(tail -n +1 -f --pid=$following "$1") || echo "no \"$2\" in: $(cat "$1")"
}

ctrl_c() {
    kill -INT -- -$following
    wait $following
}

# shellcheck disable=SC2086
follow "$work/log" $lab logs -f web-1
$lab exec web-1 logger -t k8s-hooks "before it was followed"
complaints=$(seen "$work/log" "before it was followed")
$lab exec web-1 logger -t k8s-hooks "while it was followed"
result "logs -f follows" "$complaints$(seen "$work/log" "while it was followed")"
ctrl_c
is "$(echo 'cat /etc/web.conf; exit 7' | $lab shell web-1 2>/dev/null; echo $?)" $'port=81\n7' "shell takes its commands from standard input"

mkdir -p "$work"/second/{conf.d,templates}
echo '{{getv "/env/port"}} of {{getv "/host/sid"}}' >"$work/second/templates/second.tmpl"
printf '[template]\nsrc = "second.tmpl"\ndest = "/run/second"\nkeys = ["/env"]\n' >"$work/second/conf.d/second.toml"
output=$($lab agent --once web-1 "$work/second" 2>&1)
status=$?
result "agent renders other files" "$(expect 0)"
is "$($lab exec web-1 cat /run/second)" "81 of 1" "and they are in the machine"

instances() {
    $lab status --json | jq -r '.machines[] | "\(.machine) \(.instance_id)"'
}
sids() { # that the hosts see
    $lab metadata --as web-1 hosts/web | jq -r '.[].sid' | sort | xargs
}
before=$(instances)
for words in "upgrade v1.19.1|v1.20.N is required" "add web=3|must be at most 3" "delete web-1|must be at least 1" \
    "resize web cpu=3|must be one of: 1, 2"; do
    # shellcheck disable=SC2086
    output=$($lab ${words%|*} 2>&1)
    status=$?
    result "${words%|*} is refused" "$(expect 2 "${words#*|}")"
done
is "$(instances)" "$before" "what is refused changes no machine"

output=$($lab add web=1 2>&1)
status=$?
result "add" "$(expect 0; $lab exec web-2 grep -v port=81 /etc/web.conf 2>&1)"
is "$(sids)" "1 2" "the hosts see the one that was added"
output=$($lab delete web-2 2>&1)
status=$?
result "delete" "$(expect 0; $lab exec web-2 true 2>&1 | grep -v "no machine 'web-2'\|^next: ")"
is "$(sids)" 1 "and not the one that was deleted"

# shellcheck disable=SC2086
follow "$work/screens" $lab status --watch
complaints=$(seen "$work/screens" '^web-1 .* running ')
output=$($lab stop 2>&1)
status=$?
result "status --watch shows a cluster that stops" \
    "$complaints$(expect 0; seen "$work/screens" '; stop: done$'; seen "$work/screens" '^web-1 .* off ')"
ctrl_c
is $? 0 "until Ctrl-C"
# this host was restarted: the lab's servers and its network are gone
read -r -a servers < <(jq -r '"\(.metad[0]) \(.cloud[0])"' /var/tmp/k8s-lab-another/lab.json)
ip netns delete k8s-lab-another
kill -KILL "${servers[@]}"
complaints=$(timeout 300 sh -c 'for server; do while grep -qs . "/proc/$server/cmdline"; do sleep 0.05; done; done' sh "${servers[@]}" || echo "the servers are there still")
output=$($lab stop 2>&1)
status=$?
result "without its network a lab says how to go on" \
    "$complaints$(expect 2 "as after a restart of this host" "next: lab --name another start, lab --name another down")"
output=$($lab start 2>&1)
status=$?
result "start makes it again, with another machine" \
    "$(expect 0; $lab exec web-1 grep -v port=81 /etc/web.conf 2>&1; [ "$(instances)" != "$before" ] || echo the same)"
is "$($lab metadata --as web-1 --text /self/env/port)" 81 "which sees the parameters as they were"

before=$(instances)
output=$($lab resize web cpu=2 2>&1)
status=$?
result "resize makes another machine" "$(expect 0; [ "$(instances)" != "$before" ] || echo the same)"
is "$($lab metadata --as web-1 --text host/cpu)" 2 "with the figure that was entered"

result "report is a page of what was done" \
    "$($lab report "$work/report.html" 2>&1 | grep -vxF "$work/report.html"; grep -qF 'class="name">web-1<' "$work/report.html" || echo "web-1 is not in it")"
output=$($lab delete-cluster 2>&1)
status=$?
result "delete-cluster" "$(expect 0; $lab events | grep -q ' (cluster)  *delete-cluster  *[0-9.]* s  *0 ' || echo not in the record)"
output=$($lab exec web-1 true 2>&1)
status=$?
result "leaves no machine, and says how to end the lab" \
    "$(expect 2 "its cluster was deleted" "next: lab --name another down"; ls -d /var/tmp/k8s-lab-another/machines/* 2>/dev/null)"
$lab down
result "down leaves nothing" "$(ls -d /var/tmp/k8s-lab-another 2>/dev/null)"
finish
