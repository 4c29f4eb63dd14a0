#!/bin/bash
# Each function of the lab's agent, which templates of AppCenter's apps call, by what it renders; those that look up names
# against a name server of this test.
set -uo pipefail
. tests/integration/tap.bash
agent=$PWD/${BUILD:-build}/lab/agent
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export FROM_THE_TEST="as set"
cat >"$work/metadata.json" <<'DATA'
{"self": {"env": {"heap": "1536", "ratio": "0.5", "bytes": "10485760", "users": "ann,bob", "empty": "", "json": "{\"b\": [1, {\"c\": \"yes\"}], \"a\": {\"x y\": true, \"e\": []}}"},
 "hosts": {"node": {"i-2": {"ip": "10.0.0.3"}, "i-10": {"ip": "10.0.0.4"}, "i-1": {"ip": "10.0.0.2"}}}}}
DATA

rendered() { # TEMPLATE
    printf '%s' "$1" >"$work/template"
    "$agent" -metadata "$work/metadata.json" "$work/template" 2>&1
}

used=' '
# renders TEMPLATE EXPECTED; a complaint ends in EXPECTED
renders() {
    local found word
    found=$(rendered "$1")
    [[ $2 != ...* || $found != *"${2#...}" ]] || found=$2
    is "$found" "$2" "$1"
    for word in $(grep -oE '[a-zA-Z0-9]+' <<<"$1"); do
        used+="$word "
    done
}

if [ "${1:-}" = lookups ]; then # in a network and with an /etc of its own
    set -e
    ip link set lo up
    for file in resolv.conf nsswitch.conf hosts; do
        mount --bind "$2/$file" "/etc/$file"
    done
    mkfifo "$2/listens"
    python3 tests/integration/lab/name_server.py >"$2/listens" &
    server=$!
    trap 'kill $server; rm -rf "$work"' EXIT
    read -r _ <"$2/listens"
    set +e
    # twice: the answers come in another order
    for _ in 1 2; do
        rendered '{{lookupIP "web.test"}} {{lookupIPV4 "web.test"}} {{lookupIPV6 "web.test"}} {{lookupIP "none.test"}} {{lookupIP "known.test"}}
{{range lookupSRV "http" "tcp" "web.test"}}{{.Target}}:{{.Port}} {{.Priority}} {{.Weight}}, {{end}}{{lookupSRV "ftp" "tcp" "web.test"}}
'
    done
    exit
fi

while IFS='|' read -r template expected; do
    renders "${template//¦/|}" "${expected/YEAR/$(date -u +%Y)}"
done <<'CASES'
{{getv "/env/heap"}} {{getv "/env/none" "x"}} {{exists "/env/none"}} {{exists "/env/empty"}}|1536 x false true
{{with get "/env/heap"}}{{base .Key}} {{dir .Key}} {{.Value}}{{end}}|heap /env 1536
{{range gets "/hosts/node/*/ip"}}{{.Key}} {{end}}|/hosts/node/i-1/ip /hosts/node/i-10/ip /hosts/node/i-2/ip 
{{join (getvs "/hosts/node/*/ip") ","}}|10.0.0.2,10.0.0.3,10.0.0.4
{{ls "/hosts/node/i-1"}} {{lsdir "/hosts/node"}} {{ls "/none"}}|[ip] [i-1 i-10 i-2] []
{{getenv "FROM_THE_TEST"}} {{getenv "NOT_SET"}}.{{getenv "NOT_SET" "x"}}|as set .x
{{fileExists "tests/integration/tap.bash"}} {{fileExists "tests/integration"}} {{fileExists "/none"}}|true true false
{{(datetime).UTC.Format "2006"}}|YEAR
{{split "a:b" ":" ¦ len}} {{contains "abc" "b"}} {{replace "a.b.c" "." "-" 1}} {{replace "a.b.c" "." "-" -1}}|2 true a-b.c a-b-c
{{toUpper "x"}} {{toLower "X"}} {{trimSuffix "a.gz" ".gz"}} {{base64Encode "hi"}} {{base64Decode "aGk="}}|X x a aGk= hi
{{base64Decode "%"}}|...illegal base64 data at input byte 0
{{$j := json (getv "/env/json")}}{{index (index $j.b 1) "c"}} {{range jsonArray "[1,\"x\"]"}}{{.}}.{{end}}|yes 1.x.
{{json "["}}|...unexpected end of JSON input
{{(map "k" "v" "n" 2).k}} {{map "k"}}|...a value is missing
{{map "k" "v" "n" 2 ¦ toJson}}|{"k":"v","n":2}
{{getvs "/hosts/node/*/ip" ¦ filter "[24]$"}} {{range gets "/hosts/node/*/ip" ¦ filter "3$"}}{{.Value}}{{end}}|[10.0.0.2 10.0.0.4] 10.0.0.3
{{filter "a" "text"}}|...string is not a list
{{sortByLength (split "ccc,a,bb" ",")}} {{range sortKVByLength (gets "/hosts/node/*/ip")}}{{len .Key}}.{{end}}|[a bb ccc] 18.18.19.
{{reverse (split "a,b" ",")}} {{range reverse (gets "/hosts/node/*/ip")}}{{.Value}} {{end}}|[b a] 10.0.0.3 10.0.0.4 10.0.0.2 
{{seq 2 4}} {{atoi "07"}} {{parseBool "true"}} {{parseBool "yes"}}|...parsing "yes": invalid syntax
{{seq 2 4}} {{atoi "07"}} {{parseBool "true"}}|[2 3 4] 7 true
{{add "1" 2}} {{sub 5 "7"}} {{mul (getv "/env/heap") (getv "/env/ratio")}} {{add "9007199254740993" 1}}|3 -2 768 9007199254740994
{{div 7 2}} {{div "7" "2.0"}} {{div -7 2}} {{mod 7 3}} {{mod "-7" 3}}|3 3.5 -3 1 -1
{{div 1 "0"}}|...division by zero
{{div "1.5" 0}}|...division by zero
{{mod 1 0}}|...division by zero
{{mod "7.5" 2}}|...whole numbers are required
{{add "1G" 1}}|..."1G" is not a number
{{max 2 "10"}} {{min 2 "10"}} {{max (getv "/env/bytes") 1}} {{mul "4194304" "2.5"}}|10 2 1.048576e+07 1.048576e+07
{{eq "1" 1}} {{eq "1.0" 1}} {{eq "a" "a"}} {{ne "a" "b"}} {{eq "1G" 1}} {{ne (split "a" ",") (split "a" ",")}}|true true true true false false
{{lt "9" "10"}} {{gt (getv "/env/heap") "512"}} {{le "abc" "abd"}} {{ge "b" "a"}} {{ge (lsdir "/hosts/node") 3}} {{lt "x" 1}}|true true true true true true
{{lt 1 datetime}} {{le "2" 2}} {{gt "2" 2}}|true true false
{{define "host"}}[{{.}}]{{end}}{{template "host" "n"}}{{printf "%03d" 7}}{{index (split "a,b" ",") 1}}|[n]007b
{{getv "/env/none"}}|.../env/none: key does not exist
{{cgetv "/env/heap"}}|...function "cgetv" not defined
{{toYaml datetime}}|...there is no form for a time.Time
CASES
is "$(rendered '{{toYaml (json (getv "/env/json"))}}--{{toYaml (gets "/hosts/node/*/ip")}}')" "$(
    cat <<'YAML'
a:
  e: []
  "x y": true
b:
- 1
- c: "yes"
--- key: /hosts/node/i-1/ip
  value: "10.0.0.2"
- key: /hosts/node/i-10/ip
  value: "10.0.0.4"
- key: /hosts/node/i-2/ip
  value: "10.0.0.3"
YAML
)" toYaml
result "and YAML reads it as what it was" "$(rendered '{{toYaml (json (getv "/env/json"))}}' |
    python3 -c 'import sys, yaml; found = yaml.safe_load(sys.stdin); print("" if found == {"b": [1, {"c": "yes"}], "a": {"x y": True, "e": []}} else found)')"
if [ "$(id -u)" = 0 ]; then
    printf '%s\n' "nameserver 127.0.0.1" "options timeout:30 attempts:3" >"$work/resolv.conf"
    echo "hosts: files dns" >"$work/nsswitch.conf"
    echo "10.1.1.1 known.test" >"$work/hosts"
    once='[10.0.0.10 10.0.0.9] [10.0.0.10 10.0.0.9] [fd00::9] [] [10.1.1.1]
a.test.:80 1 5, b.test.:8080 1 5, []'
    is "$(timeout 300 unshare --mount --net "$0" lookups "$work" 2>&1)" "$once"$'\n'"$once" "names are looked up, and come in one order"
else
    skipped "names are looked up" "needs root"
fi
result "each function was called" "$(sed -n '/^func functions/,/^}/p' tests/lab/agent/functions.go | grep -oE '"[a-zA-Z0-9]+":' | tr -d '":' |
    while read -r name; do [[ "$used lookupIP lookupIPV4 lookupIPV6 lookupSRV toYaml " == *" $name "* ]] || echo "$name"; done)"
finish
