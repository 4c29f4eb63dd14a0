#!/bin/bash
# Changing events killed at any moment, their machine's power cut, a file of their state lost: the rerun leaves the same
# machine and cluster as an undisturbed run. Each event of each role but restore is tried at a point at least, each file is lost
# once; how many points that were is counted at the end. By hand KILLED_STRIDE=1 tries every point on every role (a day),
# 300 some of them in twenty minutes.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
. tests/integration/faults/sites.bash
needs_kubernetes "killed events"
s=${KILLED_STRIDE:-}
sites killed.py "master:${s:-4001}" "node:${s:-1009},log:${s:-2003},client:${s:-503}"
