#!/bin/bash
# The manual and the completion say what the programs do.
set -u
bin=${BUILD:-build}/bin
. tests/integration/tap.bash

# roff TEXT: as it stands in a page's source
roff() {
    printf '%s' "$1" | sed 's/-/\\-/g'
}

# options PROGRAM: the long ones of its --help
options() {
    "$bin/$1" --help | grep -oE '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | sort -u
}

events() {
    "$bin/$1" --help | sed -n '/^Events:/,/^$/s/^  \([a-z_-]*\).*/\1/p'
}

# missing PAGE WORD...: those the page does not have
missing() {
    local page=$1 word
    shift
    for word in "$@"; do
        grep -qF -- "$word" "$page" || grep -qF -- "$(roff "$word")" "$page" || echo "$page has no $word"
    done
}

for page in man/*.[578]; do
    complaint=$(grep -q '^\.so ' "$page" || groff -man -ww -Tutf8 -z "$page" 2>&1)
    result "$page is well-formed" "$complaint"
done

for program in k8s-master k8s-node k8s-log k8s-client; do
    mapfile -t words < <(events $program && options $program)
    complaint=$(missing man/k8s-hooks.8 "${words[@]}")
    [ ${#words[@]} -gt 10 ] || complaint="--help lists too little: ${words[*]}"
    result "the manual has every event and option of $program" "$complaint"
    result "--help of $program fits a terminal of 80 columns, a line an event" \
        "$("$bin/$program" --help | grep -E '^.{80}'; "$bin/$program" --help | sed -n '/^Events:/,/^$/p' | grep '^[^ E]')"
done
result "--help of k8s-node lists --check and --force" "$(options k8s-node | grep -cxE -- '--(check|force)' | grep -vx 2)"
result "--help of k8s-client lists neither: it has no pre-check and no destroy" "$(options k8s-client | grep -xE -- '--(check|force)')"
for program in k8s-hook k8s-bake; do
    mapfile -t words < <(options $program)
    result "the manual has every option of $program" "$(missing man/$program.8 "${words[@]}")"
    result "--help of $program fits a terminal of 80 columns" "$("$bin/$program" --help | grep -E '^.{80}')"
done

for program in k8s-master k8s-node k8s-log k8s-client k8s-hook k8s-bake; do
    printed=$(timeout 120 "$bin/$program" --version)
    result "$program prints its version" "$([[ $printed =~ ^$program\ [0-9a-f] ]] || echo "it says: $printed")"
done

result "k8s-hooks(7) has every exit status as the program has it (make statuses)" \
    "$(diff <("$bin/k8s-hook" statuses --man) <(sed -n '/^.\\" begin of/,/^.\\" end of/{//!p}' man/k8s-hooks.7))"
for program in k8s-master k8s-client; do
    result "--help of $program leads to the exit statuses" \
        "$("$bin/$program" --help | tr '\n' ' ' | grep -q 'k8s-hook statuses' || echo "it does not name them")"
done
for role in master node log client; do
    listed=$(sed -n '/^.SH EVENTS/,/^.SH EXIT/p' man/k8s-$role.8 | sed -nE 's/^\.B[IR]* ([^ "]+).*/\1/p' | sed 's/\\-/-/g')
    result "k8s-$role(8) lists the events of k8s-$role, and no others" "$(diff <(events k8s-$role) - <<<"$listed")"
done
result "k8s-client offers no event of the master's" "$(events k8s-client | grep -xE 'backup|restore|metadata|destroy|renew-certs')"

mapfile -t keys < <(sed -nE 's/^ +(# )?([a-z-]+) = .*/\2/p; s/^([a-z]+) \{$/\1/p' hooks/hook.conf | sort -u)
complaint=$(missing man/hook.conf.5 "${keys[@]}")
[ ${#keys[@]} -gt 20 ] || complaint="hook.conf has too few keys: ${keys[*]}"
result "the manual has every key of hook.conf" "$complaint"
complaint=$("$bin/k8s-hook" config show | sed -nE 's/^ *([a-z-]+) = .*/\1/p' | while read -r key; do
    grep -qE "^ +(# )?$key = " hooks/hook.conf || echo "hook.conf has no $key"
done)
result "hook.conf documents every key that config show prints" "$complaint"

# keys FILE: those that a configuration file may have, from the tables of its parser
keys() {
    grep -oE 'CFG_[A-Z_]+\("[a-z0-9-]+"' "$1" | cut -d'"' -f2 | sort -u
}
for page in image.conf:bake/conf/image_conf.c addons.conf:hooks/addons/addons_conf.c; do
    mapfile -t keys < <(keys "${page#*:}")
    complaint=$(for key in "${keys[@]}"; do
        grep -qE "^\.(B|BR|SS|TP|BI) (.*[ (\"])?${key}([ (\"].*)?$" "man/${page%%:*}.5" || echo "man/${page%%:*}.5 has no $key"
    done)
    [ ${#keys[@]} -gt 3 ] || complaint="${page#*:} has too few keys: ${keys[*]}"
    result "the manual has every key of ${page%%:*}" "$complaint"
done

# offers WORD... : what is completed after a command line, whose last word is the one being typed
offers() {
    PATH=$PWD/$bin:$PATH bash --norc -c '
        . completions/k8s-hooks
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        $(complete -p "$1" | sed "s/.*-F \([^ ]*\).*/\1/") "$1"
        printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

# completes EXPECTED WORD...
completes() {
    local expected=$1 got
    shift
    got=$(offers "$@" | sort | tr '\n' ' ')
    result "\"$*\" is completed" "$([ "$got" = "$expected " ] || echo "to \"$got\"")"
}
completes "restart restore" k8s-master rest
completes "check" k8s-node che
completes "--dry-run" k8s-log start --dr
completes "certificates components" k8s-master tab c
completes "config" k8s-hook con
completes "templates" k8s-node --root templa
completes "yaml" k8s-hook template x --format y
completes "--offline --output" k8s-bake --o
finish
