#!/bin/bash
# takes: 20
# What needs systemd as process 1 (tests/systemd) runs inside a machine of the lab, from each build directory in BUILDS. The
# programs bring the libraries that the machine's image lacks.
set -uo pipefail
builds=${BUILDS:-${BUILD:-build}}
lab="${builds%% *}/lab/lab --name systemd"
work=$(mktemp -d)
trap '$lab down >/dev/null 2>&1; rm -rf "$work"' EXIT
number=0

result() { # STATUS NAME
    number=$((number + 1))
    [ "$1" = 0 ] && echo "ok $number - $2" || echo "not ok $number - $2"
}

# run PROGRAM: its results under its own name; one that is skipped even here has failed.
run() {
    local program=$1 line status results
    rm -rf "$work/root" && mkdir -p "$work/root/opt/tests/lib"
    cp "$program" "$work/root/opt/tests/program"
    ldd "$program" | awk '$3 ~ /^\// { print $3 }' | grep -v '/libc\.so' | xargs -I{} cp -L {} "$work/root/opt/tests/lib"
    tar -C "$work/root" -c . | $lab sh node-1 tar -C / -x
    $lab sh node-1 env LD_LIBRARY_PATH=/opt/tests/lib CMOCKA_MESSAGE_OUTPUT=tap /opt/tests/program >"$work/output" 2>&1 </dev/null
    status=$?
    results=$(grep -cE '^(not )?ok ' "$work/output")
    while IFS= read -r line; do
        case $line in
        *"ok "*"# SKIP"*) result 1 "$program: ${line#*- }: skipped" ;;
        "ok "*) result 0 "$program: ${line#*- }" ;;
        "not ok "*) result 1 "$program: ${line#*- }" ;;
        *) echo "# $line" ;;
        esac
    done <"$work/output"
    [ "$status" = 0 ] && [ "$results" -gt 0 ]
    result $? "$program ends with status $status after $results results"
}

$lab up master=1 node=1 log=2 client=1 2>&1 | sed 's/^/# /'
result "${PIPESTATUS[0]}" "a machine boots"
for build in $builds; do
    for test in tests/systemd/*_test.c; do
        name=${test%.c}
        run "$build/$name"
    done
done
echo "1..$number"
