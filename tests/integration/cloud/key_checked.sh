#!/bin/bash
# init, start and reload of every role with a kubelet, as built, while the cloud's API refuses the key, has no quota left or
# does not answer: key_checked.py has the cases.
set -uo pipefail
. tests/integration/tap.bash
export PYTHONDONTWRITEBYTECODE=1
if [ "$(id -u)" != 0 ]; then
    skipped "the API key is checked" "needs root" && finish
    exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unshare --mount --net --pid --fork --kill-child python3 tests/integration/cloud/key_checked.py "$work"
