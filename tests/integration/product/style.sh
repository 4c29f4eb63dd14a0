#!/bin/bash
# tests/style/check names each place that breaks a rule, and is silent where none does.
set -uo pipefail
. tests/integration/tap.bash
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git -C "$work" init --quiet
install -D tests/style/check "$work/tests/style/check"

# file PATH [LINE...]
file() {
    mkdir -p "$work/${1%/*}"
    printf '%s\n' "${@:2}" >"$work/$1"
}

# refused RULE PLACE WORD...: the check fails and one line has the place and all words; the tree is empty afterwards
refused() {
    local output status
    output=$("$work/tests/style/check" 2>&1)
    status=$?
    result "$1" "$(expect 1 "$2:" "${@:3}")"
    find "$work" -mindepth 1 -maxdepth 1 ! -name .git ! -name tests -exec rm -r {} +
    find "$work/tests" -mindepth 1 -maxdepth 1 ! -name style -exec rm -r {} +
}

file lib/core/a.h
file lib/system/b.c '#include "lib/core/a.h"'
file hooks/steps/machine/c.h
file hooks/steps/node/c2.c '#include <stdio.h>' '' '#include "hooks/steps/machine/c.h"' '#include "lib/core/a.h"'
file hooks/events/d.c '#include "hooks/steps/machine/c.h"'
file bake/e.c '#include "app/status.h"' '#include "bake/e.h"'
file tests/unit/lib/b.c '#include "hooks/events/d.h"'
output=$("$work/tests/style/check" 2>&1)
status=$?
result "files that follow the rules pass" "$(expect 0)$output"
refused_all() {
    file "$1" "// first" "#include \"$2\""
    refused "$1 includes $2" "$1:2" "$2"
}
refused_all lib/core/a.c lib/system/file.h
refused_all lib/text/a.c lib/net/http.h
refused_all lib/system/a.c app/status.h
refused_all app/a.c app/facts/facts.h
refused_all hooks/engine/a.c hooks/events/events.h
refused_all hooks/steps/node/a.c hooks/events/events.h
refused_all hooks/checks/a.c hooks/steps/steps.h
refused_all hooks/events/a.c hooks/tools/tools.h
refused_all bake/a.c app/facts/facts.h
refused_all tests/lab/a.c hooks/engine/run.h
refused_all hooks/new-room/a.c lib/core/util.h

mapfile -t long < <(seq 501)
file tests/unit/lib/long.c "${long[@]}"
refused "a file of 501 lines" tests/unit/lib/long.c:501 500
file lib/core/same.c
file hooks/events/same.h
refused "two product files of one name" lib/core/same.c:1 hooks/events "called same"
for i in $(seq 25); do
    file "hooks/events/$i.c"
done
refused "a directory with 25 files" hooks/events:1 25
result "this tree keeps them" "$(tests/style/check 2>&1)"
finish
