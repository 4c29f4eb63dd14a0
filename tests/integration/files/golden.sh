#!/bin/bash
# Every file each role renders, against tests/golden/rendered: whole trees of one cluster, and of every other cluster the
# difference to it. UPDATE_GOLDEN=1 writes them again.
set -uo pipefail
. tests/integration/tap.bash
. tests/integration/files/rendered.bash
golden=tests/golden/rendered
base=ssd-nodes
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# modes DIR: what a difference of contents does not show
modes() {
    (cd "$1" && find . -type f -printf '%m %P\n' | sort -k 2)
}

# difference CLUSTER ROLE: an ssd_node's is to the node of the base too, so that it shows what sets them apart
difference() {
    local role=$2
    [ "$1/$2" = $base/ssd_node ] && role=node
    (cd "$work" && diff -ruN "$base/$role" "$1/$2" | sed -E '/^diff /d; s/^(---|\+\+\+) ([^\t]*)\t.*/\1 \2/'
        diff <(modes "$base/$role") <(modes "$1/$2") | sed -n 's/^[<>]/mode &/p')
}

compare() {
    local expected=$golden/$1/$2 actual=$work/$1/$2
    if [ ! -d "$actual" ] || [ ! -d "$work/$base/node" ]; then
        echo "not rendered"
    elif [ "$1" = $base ] && [ "$2" != ssd_node ]; then
        diff -ruN "$expected" "$actual" && diff "$expected.modes" <(modes "$actual")
    else
        diff "$expected.diff" <(difference "$1" "$2")
    fi
}

update() {
    mkdir -p "$golden/$1"
    if [ "$1" = $base ] && [ "$2" != ssd_node ]; then
        cp -r "$work/$1/$2" "$golden/$1/$2" && modes "$work/$1/$2" >"$golden/$1/$2.modes"
    else
        difference "$1" "$2" >"$golden/$1/$2.diff"
    fi
}

render_all "$work"
if [ -n "${UPDATE_GOLDEN-}" ]; then
    rm -rf "$golden"
    for tree in "$work"/*/*/; do
        tree=${tree#"$work"/} tree=${tree%/}
        update "${tree%/*}" "${tree#*/}"
    done
    exit
fi

# a shortened copy of a release manifest would be proved in its place
result "no golden manifest has an object of a release" "$(grep -v '^#' tests/golden/opt/manifests/*)"
expected=$(cd "$golden" && find . -name '*.modes' -o -name '*.diff' | sed 's/\.[a-z]*$//' | sort)
result "each cluster has the roles it should have" \
    "$(diff <(echo "$expected") <(cd "$work" && find . -mindepth 2 -maxdepth 2 | sort))"
for tree in $expected; do
    tree=${tree#./}
    result "$tree" "$(compare "${tree%/*}" "${tree#*/}" 2>&1)"
done
finish
