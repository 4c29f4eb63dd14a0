#!/bin/bash
# The README's table of exit statuses is the program's, and every program it names is built.
set -u
build=${BUILD:-build}

if diff <("$build/bin/k8s-hook" statuses) <(sed -n '/^|---|---|---|---|$/,$p' README.md | tail -n +2); then
    echo "ok 1 - the table of exit statuses is k8s-hook's"
else
    echo "not ok 1 - the table of exit statuses is k8s-hook's: append the output of k8s-hook statuses"
fi

missing=
for program in $(grep -oE 'build/(bin|lab)/[a-z0-9-]+' README.md | sort -u); do
    [ -x "$build/${program#build/}" ] || missing="$missing $program"
done
[ -z "$missing" ] && echo "ok 2 - the programs it names are built" || echo "not ok 2 - not built:$missing"

missing=
for link in $(grep -oE '\]\([a-zA-Z0-9_./-]+\)' README.md | tr -d '[]()' | sort -u); do
    [ -e "$link" ] || missing="$missing $link"
done
[ -z "$missing" ] && echo "ok 3 - what it links to is there" || echo "not ok 3 - absent:$missing"
echo 1..3
