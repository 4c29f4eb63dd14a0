# Test results as TAP. Sourced by the tests that are shell scripts.
# shellcheck shell=bash
tests=0 failures=0
# result DESCRIPTION COMPLAINT: one line of TAP; passes when there is no complaint
result() {
    tests=$((tests + 1))
    if [ -z "$2" ]; then
        echo "ok $tests - $1"
    else
        failures=$((failures + 1))
        echo "not ok $tests - $1"
        sed 's/^/# /' <<<"$2"
    fi
}

# is FOUND EXPECTED DESCRIPTION
is() {
    result "$3" "$([ "$1" = "$2" ] || printf 'expected: %s\nfound:    %s\n' "$2" "$1")"
}

# skipped DESCRIPTION REASON
skipped() {
    tests=$((tests + 1))
    echo "ok $tests - $1 # SKIP $2"
}

# needs_bakes DESCRIPTION: ends the test, as skipped, where no root can be bootstrapped
needs_bakes() {
    if [ "$(id -u)" != 0 ] || ! command -v mmdebstrap >/dev/null; then
        skipped "$1" "needs root and mmdebstrap"
        finish
        exit
    fi
}

# expect STATUS WORD...: complaints about the last run, whose status is in $status and what it printed in $output
expect() {
    local wanted=$1 word
    shift
    # shellcheck disable=SC2154
    [ "$status" = "$wanted" ] || echo "status $status, not $wanted: $output"
    for word in "$@"; do
        [[ $output == *"$word"* ]] || echo "\"$word\" is not in: $output"
    done
}

finish() {
    echo "1..$tests"
    [ "$failures" = 0 ]
}
