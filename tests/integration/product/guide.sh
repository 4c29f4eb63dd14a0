#!/bin/bash
# Every command, address and query of the user guide is in a scenario, which runs it, and every sample is used by one;
# guide.py says how they are found, and has a list of those that the lab cannot run.
set -uo pipefail
. tests/integration/tap.bash
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

guide() {
    python3 tests/integration/product/guide.py "$@" 2>&1
}

result "scenarios run what the user guide says" "$(guide unrun docs/user-guide.md)"
result "scenarios use the samples" "$(guide samples)"
result "both languages have the same commands" \
    "$(diff <(guide commands docs/user-guide.md | sort) <(guide commands docs/user-guide.zh-cn.md | sort))"

# one more in the text, one more in a block, an argument more: each is missed
added() { # EXPECTED SED-EXPRESSION
    sed "$2" docs/user-guide.md >"$work/guide.md"
    is "$(guide unrun "$work/guide.md")" "no scenario runs: $1" "a guide with \"$1\" is refused"
}
added "kubectl get leases -A" '$a Also `kubectl get leases -A` shows them.'
added "k8s-client tab" '$a ```\nk8s-client tab\n```'
added "kubectl proxy --port=8002" '$a Or `kubectl proxy --port=8002`.'
finish
