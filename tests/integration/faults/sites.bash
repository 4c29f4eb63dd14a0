# Tests that need machines of several roles, each in namespaces of its own. Sourced.
# shellcheck shell=bash
export PYTHONDONTWRITEBYTECODE=1

# needs_kubernetes NAME: ends the test, as skipped, where there is none; and in a sanitized build, whose leak check does not
# work in a program that is traced
needs_kubernetes() {
    if [[ ${BUILD:-build} == *-asan ]]; then
        echo "ok 1 - $1 # SKIP sanitized programs cannot be traced: the others are"
        echo 1..1
        exit
    fi
    if [ "$(id -u)" != 0 ] || [ ! -e /var/cache/k8s-hooks/kubernetes-v1.20.2/.complete ]; then
        echo "ok 1 - $1 # SKIP needs root and the Kubernetes that tests/lab/build-kubernetes makes"
        echo 1..1
        exit
    fi
}

# site PROGRAM LANE: see `sites`
site() {
    local log=$directory/${2%%:*}
    mkdir "$log"
    unshare --mount --net --pid --fork --kill-child \
        python3 "tests/integration/faults/$1" "$log" "$2" >"$log.log" 2>&1
    tail -n 1 "$log.log" | grep -q '^1\.\.' || echo "not ok - $2: ended early" >>"$log.log"
}

# sites PROGRAM LANE...: a lane is ROLE:STRIDE[,ROLE:STRIDE...], roles one after the other in one cluster; lanes run side by side.
sites() {
    local program=$1 lane
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
    shift
    for lane; do
        site "$program" "$lane" &
    done
    wait
    cat "$directory"/*.log | grep -v '^1\.\.'
    echo "1..$(grep -c '^ok\|^not ok' <(cat "$directory"/*.log))"
    ! grep -q '^not ok' "$directory"/*.log
}
