#!/bin/bash
# Changing events killed at any moment, their machine's power cut, a file of their state lost: the rerun leaves the same
# machine and cluster as an undisturbed run. KILLED_STRIDE=1 tries every point on every role (a day); without it, a part of
# them that fits into a test run.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
. tests/integration/faults/sites.bash
needs_kubernetes "killed events"
sites killed.py master:1201 node:401 client:307 "${KILLED_STRIDE:-}" ${KILLED_STRIDE:+log}
