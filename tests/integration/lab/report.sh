#!/bin/bash
# `lab report` in a real browser: laid out without overlaps, legible, usable by keyboard, and no text of the record is more
# than text, at the widths of a telephone, a tablet and a desk, light and dark.
set -uo pipefail
. tests/integration/tap.bash
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 tests/integration/lab/report.py >"$work/events.jsonl"
result "a report is written" "$("${BUILD:-build}/lab/lab" --name report-test report --from "$work/events.jsonl" "$work/report.html" 2>&1 >/dev/null)"
result "what was not finished is told" "$(grep -q 'node-2, scale_in: not finished' "$work/report.html" || echo missing)"
result "the end of a create waited for its master's start" \
    "$(grep -q 'start: wait for the API server' <<<"$(grep -A4 '<td class="name">master-1</td>' "$work/report.html")" || echo "not in its path")"
: >"$work/empty.jsonl"
result "a record without an event is refused" \
    "$("${BUILD:-build}/lab/lab" --name report-test report --from "$work/empty.jsonl" "$work/none.html" >/dev/null 2>&1 && echo accepted)"

said=$(timeout 900 python3 tests/integration/lab/browser.py "$work/report.html" tests/integration/lab/report.js 2>&1)
for size in "360 light" "360 dark" "800 light" "800 dark" "1600 light" "1600 dark"; do
    line=$(grep "^$size: " <<<"$said")
    result "in a browser, $size" "$([ "$line" = "$size: " ] || echo "${line:-$said}")"
done
finish
