#!/bin/bash
# What README and docs/ say is so: the table of exit statuses is the program's, commands run as they are written, links lead
# somewhere, and the programs that are named are built.
set -uo pipefail
. tests/integration/tap.bash
build=${BUILD:-build}

documented=$(sed -n '/^|---|---|---|---|$/,$p' docs/troubleshooting.md | tail -n +2)
result "docs/troubleshooting.md has the output of k8s-hook statuses" \
    "$(diff <("$build/bin/k8s-hook" statuses) - <<<"$documented")"

# The block "Without a cluster", but for its first line, which builds.
mapfile -t commands < <(sed -n '/^Without a cluster:/,/^On a node/p' README.md | sed -n '/^```$/,/^```$/p' | grep -v '^```' | tail -n +2)
result "README has commands to try without a cluster" "$([ ${#commands[@]} -ge 4 ] || echo "found ${#commands[@]}")"
for command in "${commands[@]}"; do
    if ! printed=$(bash -c "${command//build\//$build/}" 2>&1); then
        result "README: $command" "failed: $printed"
    else
        result "README: $command" ""
    fi
done

commands_of() {
    sed -n '/^```sh client$/,/^```$/p' "$1"
}
result "both languages of the user guide have the same commands" \
    "$(diff <(commands_of docs/user-guide.md) <(commands_of docs/user-guide.zh-cn.md))"

for document in README.md CONTRIBUTING.md docs/*.md; do
    missing=
    for program in $(grep -oE 'build/(bin|lab)/[a-z0-9-]+' "$document" | sort -u); do
        [ -x "$build/${program#build/}" ] || missing="$missing $program"
    done
    for link in $(grep -oE '\]\([a-zA-Z0-9_./-]+\)' "$document" | tr -d '[]()' | sort -u); do
        [ -e "$(dirname "$document")/$link" ] || missing="$missing $link"
    done
    result "$document: the files it names exist" "${missing:+absent:$missing}"
done
finish
