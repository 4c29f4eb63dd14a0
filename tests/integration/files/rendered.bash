# What each role of each whole cluster of tests/golden/clusters renders. Sourced by the tests that look at it.
# shellcheck shell=bash
build=${BUILD:-build}

# render CLUSTER ROLE DIR [SETTINGS]: the files of the first host of that role; 1 when the cluster has no such role.
# SETTINGS is a file with more of hook.conf.
render() {
    local cluster=$1 role=$2 dir=$3 settings=${4-}
    local scratch
    scratch=$(mktemp -d)
    "$build/lab/cluster-view" "$cluster" "$role" >"$scratch/metadata.json" 2>/dev/null || {
        rm -rf "$scratch"
        return 1
    }
    {
        echo "paths { opt = \"$PWD/tests/golden/opt\" }"
        echo 'metadata { servers = {"http://192.168.0.250:80"} }'
        cat ${settings:+"$settings"} </dev/null
    } >"$scratch/hook.conf"
    mkdir -p "$dir"
    "$build/bin/k8s-${role/ssd_node/node}" render --root "$dir" --config "$scratch/hook.conf" \
        --metadata "$scratch/metadata.json" >"$scratch/log" 2>&1 || {
        echo "# $cluster $role:" && sed 's/^/#   /' "$scratch/log"
        rm -rf "$dir"
    }
    rm -rf "$scratch"
}

# render_all DIR: DIR/CLUSTER/ROLE/..., and DIR/bridge/ROLE/... for a cluster in bridge mode
render_all() {
    local cluster role
    for cluster in tests/golden/clusters/*/; do
        cluster=$(basename "$cluster")
        for role in master node ssd_node log client; do
            render "$cluster" "$role" "$1/$cluster/$role"
        done
    done
    for role in master node ssd_node log client; do
        render ssd-nodes "$role" "$1/bridge/$role" tests/golden/bridge.conf
    done
}
