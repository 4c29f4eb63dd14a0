#!/bin/bash
# The lab's agent against the metadata server: what confd promises of conf.d, of templates and of reload commands.
set -uo pipefail
. tests/integration/tap.bash
build=$PWD/${BUILD:-build}
work=$(mktemp -d)
trap 'kill $agent $metad 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
agent='' metad=''
mkdir -p "$work/confd/conf.d" "$work/confd/templates" "$work/out"

cat >"$work/metadata.json" <<'DATA'
{"data": {"clusters": {"cl-1": {
    "env": {"heap": "1536", "ratio": "0.5", "users": "ann,bob", "empty": "", "json": "{\"a\": [1, {\"b\": \"c\"}]}", "list": "[\"x\",\"y\"]"},
    "hosts": {"node": {"i-2": {"ip": "10.0.0.3", "sid": "2"}, "i-1": {"ip": "10.0.0.2", "sid": "1"}, "i-10": {"ip": "10.0.0.4", "sid": "10"}}}
}}}, "mapping": {"127.0.0.1": {"env": "/clusters/cl-1/env", "hosts": "/clusters/cl-1/hosts", "host": "/clusters/cl-1/hosts/node/i-1"}}}
DATA
mkfifo "$work/ready"
"$build/lab/metad" --listen 127.0.0.1:0 --manage 127.0.0.1:0 --data "$work/metadata.json" >"$work/ready" &
metad=$!
read -r line <"$work/ready"
server=http://127.0.0.1:$(sed -E 's/.* on [^:]*:([0-9]+),.*/\1/' <<<"$line")
manage=http://127.0.0.1:$(sed -E 's/.*:([0-9]+)$/\1/' <<<"$line")

# render TEMPLATE: what it becomes, or the agent's complaint
render() {
    printf '%s' "$1" >"$work/confd/templates/one.tmpl"
    printf '[template]\nsrc = "one.tmpl"\ndest = "%s"\n' "$work/out/one" >"$work/confd/conf.d/one.toml"
    rm -f "$work/out/one"
    "$build/lab/agent" -onetime -confdir "$work/confd" -node "$server" 2>"$work/log" || { cat "$work/log" && return; }
    cat "$work/out/one"
}

while IFS='|' read -r template expected; do
    is "$(render "${template//¦/|}")" "$expected" "$template"
done <<'CASES'
{{getv "/env/heap"}} {{getv "/env/none" "x"}} {{exists "/env/none"}} {{exists "/env/empty"}}|1536 x false true
{{range gets "/hosts/node/*/ip"}}{{.Key}}={{.Value}} {{end}}|/hosts/node/i-1/ip=10.0.0.2 /hosts/node/i-10/ip=10.0.0.4 /hosts/node/i-2/ip=10.0.0.3 
{{join (getvs "/hosts/node/*/ip") ","}}|10.0.0.2,10.0.0.3,10.0.0.4
{{range $i, $d := lsdir "/hosts/node"}}{{$i}}{{$d}} {{end}}{{len (ls "/env")}}|0i-1 1i-10 2i-2 6
{{with get "/host/ip"}}{{base .Key}} {{dir .Key}} {{.Value}}{{else}}none{{end}}|ip /host 10.0.0.2
{{add "1" 2}} {{sub 5 "7"}} {{mul (getv "/env/heap") (getv "/env/ratio")}} {{div 7 2}} {{div "7" "2.0"}} {{mod 7 3}} {{max 2 "10"}} {{min 2 "10"}}|3 -2 768 3 3.5 1 10 2
{{if and (gt (getv "/env/heap") "512") (lt "9" "10") (eq (getv "/host/sid") 1) (not (ne "a" "a"))}}yes{{else}}no{{end}}|yes
{{if le "abc" "abd"}}a{{end}}{{if ge (lsdir "/hosts/node") 3}}b{{end}}{{if or (exists "/no") (exists "/host/ip")}}c{{end}}|abc
{{range split (getv "/env/users") ","}}<{{. ¦ toUpper ¦ printf "%5s"}}>{{end}}{{contains "abc" "b"}} {{replace "a.b.c" "." "-" 1}} {{toLower "X"}} {{trimSuffix "a.gz" ".gz"}}|<  ANN><  BOB>true a-b.c x a
{{$j := json (getv "/env/json")}}{{index (index $j.a 1) "b"}}{{range jsonArray (getv "/env/list")}}.{{.}}{{end}}|c.x.y
{{range seq 2 4}}{{.}}{{end}} {{(map "k" "v").k}} {{split "a b" " " ¦ toJson}} {{base64Encode "hi"}} {{base64Decode "aGk="}} {{atoi "07"}} {{parseBool "true"}}|234 v ["a","b"] aGk= hi 7 true
{{range getvs "/hosts/node/*/ip" ¦ filter "[24]$"}}{{.}} {{end}}{{range sortByLength (split "ccc,a,bb" ",")}}{{.}}{{end}} {{index (reverse (split "a,b" ",")) 0}}|10.0.0.2 10.0.0.4 abbccc b
{{define "host"}}[{{.}}]{{end}}{{template "host" "n"}}{{/* no comment */}} {{- " t" }}|[n] t
CASES
result "a missing key is an error, and no file" "$([[ $(render '{{getv "/env/none"}}') == *"/env/none: key does not exist"* && ! -e $work/out/one ]] || cat "$work/log")"
is "$(render '{{(datetime).Year}}')" "$(date +%Y)" "datetime"

# A file of its own: mode, check_cmd, reload_cmd once a change, also when it fails
rm -f "$work/confd/conf.d/one.toml"
mkfifo "$work/reloads"
exec 9<>"$work/reloads"
printf 'heap={{getv "/env/heap"}}\n' >"$work/confd/templates/app.tmpl"
cat >"$work/confd/conf.d/app.toml" <<TOML
[template]
src = "app.tmpl"
dest = "$work/out/app"
mode = "0640"
uid = $(id -u)
keys = ["/env"]
check_cmd = "! grep -q heap=0 {{.src}}"
reload_cmd = "cat $work/out/app >$work/reloads; false"
TOML
printf 'nodes = ["http://127.0.0.1:1", "%s"]\nprefix = "/self"\n' "$server" >"$work/confd/confd.toml"
cat >"$work/confd/conf.d/broken.toml" <<<'[template'
"$build/lab/agent" -confdir "$work/confd" -state "$work/state" 2>"$work/log" &
agent=$!
put() {
    curl -sf -X PUT -d "\"$1\"" "$manage/v1/data/clusters/cl-1/env/heap" >/dev/null || echo "the metadata was not changed"
}
read -r -t 300 seen <&9
is "$seen $(stat -c %a "$work/out/app")" "heap=1536 640" "the agent renders when it starts, and reloads; a server that is down is passed over"
result "a change is put" "$(put 2048)"
read -r -t 300 seen <&9
is "$seen" heap=2048 "a change of the metadata is rendered at once, and reloaded"
# state FILTER: waits until it holds of the agent's state, which the lab waits for too
state() {
    timeout 300 sh -c "until jq -e '$1' '$work/state' >/dev/null; do sleep 0.05; done" || cat "$work/state"
}
put 0
result "what check_cmd refuses is in the state" "$(state '.entries[] | select(.error | contains("check_cmd"))')"
curl -sf -X PUT -d '"c,d"' "$manage/v1/data/clusters/cl-1/env/users" >/dev/null
put 4096
read -r -t 300 seen <&9
is "$seen" heap=4096 "what check_cmd refuses is not put in place; other keys, and a reload that failed, cause none"
version=$(curl -sf -o /dev/null -D - "$server/self" | sed -n 's/^X-Metad-Version: \([0-9]*\).*/\1/ip')
result "the state has the version that was processed" "$(state ".version == $version")"
is "$(jq -c '[.entries[] | select(.command != "") | .status, .ended_ns >= .began_ns]' "$work/state")" \
    "[1,true,1,true,1,true]" "each change has run its command once, and its status is in the state"
result "a file of conf.d that cannot be read is in the state, and holds up no other" \
    "$(state '.entries[] | select(.resource == "broken.toml")')"
cat >"$work/confd/conf.d/aaa.toml" <<TOML
[template]
src = "app.tmpl"
dest = "$work/none/app"
TOML
put 8192
read -r -t 300 seen <&9
is "$seen" heap=8192 "a file whose directory is missing holds up no other"
result "and says that the directory is missing" \
    "$(grep -qF "aaa.toml: dest $work/none/app: there is no $work/none, which" "$work/log" || cat "$work/log")"
result "the agent tells of the failed reload" "$(grep -q 'app.toml: reload_cmd' "$work/log" || cat "$work/log")"
result "nothing else is left beside the file" "$(find "$work/out" -type f ! -name app ! -name one)"
finish
