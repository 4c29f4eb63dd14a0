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

# told SOURCE: whether a row of the table says if it is there; a pattern there stands for all of its place
told() {
    local pattern
    while read -r pattern; do
        # shellcheck disable=SC2053
        [[ $1 != $pattern ]] || return 0
    done < <(sed -n '/^| fetched from /,/^$/p' docs/image.md | cut -d '|' -f 2 | grep -oE '`[^`]+`' | tr -d '`')
    return 1
}
sources=$(awk '/^(image|artifact|manifest) "/ { source = ""; inside = 1 }
    inside && match($0, /reference = "[^"]+"/) { source = substr($0, RSTART + 13, RLENGTH - 14) }
    inside && match($0, /(source|url) = "[^"]+"/) { source = substr($0, RSTART, RLENGTH); gsub(/^[a-z]+ = "|"$/, "", source) }
    inside && /}$/ { if (source != "") print source; inside = 0 }' image/image.conf)
result "docs/image.md says of everything that image.conf fetches whether it is there" "$([ "$(wc -l <<<"$sources")" -ge 30 ] || echo "found: $sources"
    while read -r source; do
        told "$source" || echo "nothing about $source"
    done <<<"$sources")"

commands_of() {
    sed -n '/^```sh client$/,/^```$/p' "$1"
}
result "both languages of the user guide have the same commands" \
    "$(diff <(commands_of docs/user-guide.md) <(commands_of docs/user-guide.zh-cn.md))"

# names FILE: parameters, annotations, paths
names() {
    grep -oE '`[a-z_]+[-_][a-z_-]+`|/opt/kubernetes/[a-z/]+|service[.]beta[.]kubernetes[.]io|qingcloud-[a-z-]+|k8s-hooks/[a-z=]+' "$1" | sort -u
}
result "both name the same parameters, annotations and paths" \
    "$(diff <(names docs/user-guide.md) <(names docs/user-guide.zh-cn.md))"
result "a scenario runs the user guide's commands" \
    "$(grep --quiet '^commands client docs/user-guide.md$' tests/e2e/*/scenario || echo "none does")"

# The cloud controller refuses a Service without annotations, and one that is public without an EIP.
for sample in templates/client/sample/*/*.yaml.mustache; do
    result "${sample#templates/client/}: each load balancer has an EIP or is private" "$(awk 'BEGIN { RS = "\n---\n" }
        /type: LoadBalancer/ && !/load-balancer-(eip-ids|network-type: internal)/' "$sample")"
done

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
