#!/bin/bash
# Every event while something that it talks to hangs, is slow, refuses or answers nonsense, while /data is full, read-only or
# missing, with the clock a year off: it ends within its deadline with a status of the table, and works afterwards. The
# table is printed. FAULTS_STRIDE=1 tries every pair of event and fault (an hour); without it, a part that fits into a test
# run.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
. tests/integration/faults/sites.bash
needs_kubernetes "faults"
s=${FAULTS_STRIDE:-}
sites faults.py "master:${s:-41}" "node:${s:-47},client:${s:-23}" "log:${s:-61}"
