#!/bin/bash
# What the add-ons of every cluster that the form allows refer to and need, on the releases' own manifests: guards.py has the
# rules. Needs no cluster.
set -uo pipefail
. tests/integration/tap.bash
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
reason=$(tests/upstream "$work/manifests" 2>&1)
case $? in
0) exec python3 tests/integration/addons/guards.py "${BUILD:-build}" "$work" ;;
77) skipped "guards of add-ons" "$reason" && finish ;;
*) result "the release manifests are there" "$reason" && finish ;;
esac
