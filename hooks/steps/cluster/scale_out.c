#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

/* The API server's own checks, its reach of etcd among them. */
static int cluster_fit_apply(struct run *run, struct error **err)
{
    static const char *const paths[] = {"/readyz", "/readyz/etcd"};
    for (size_t i = 0; i < ELEMENTS(paths); i++) {
        _cleanup_error_ struct error *failure = NULL;
        _cleanup_free_ char *text = NULL;
        if (run_kube(run, err) < 0) {
            return -1;
        }
        if (kube_get_text(run->kube, paths[i], run_deadline(run, 10), &text, NULL, &failure) < 0) {
            failure->status = STATUS_SCALE_OUT_UNHEALTHY;
            return error_move(err, &failure);
        }
    }
    return 0;
}

const struct step step_check_cluster = {"check API server and etcd", NULL, cluster_fit_apply, NULL};

static int check_addresses(const struct facts *facts, struct error **err)
{
    struct pod_addresses addresses = facts_pod_addresses(facts);
    if (facts->network == NETWORK_HOSTNIC && addresses.have < addresses.need) {
        return error_new(err, STATUS_SCALE_OUT_ROOM,
                         "%d nodes with %d pods each need %d addresses, the pod vxnets have %d", addresses.nodes,
                         facts->parameters.max_pods, addresses.need, addresses.have);
    }
    return 0;
}

/* POD_CIDR is cut into 256 networks of /24, one a node. */
static int check_networks(const struct facts *facts, struct error **err)
{
    int nodes = facts_pod_addresses(facts).nodes;
    for (size_t i = 0; facts->network == NETWORK_BRIDGE && i < facts->n_hosts; i++) {
        const struct host *host = &facts->hosts[i];
        _cleanup_free_ char *cidr = facts_node_cidr(host);
        if (host->adding && cidr == NULL && host->is->node) {
            return error_new(err, STATUS_SCALE_OUT_ROOM, "no network of %s is left for %s", POD_CIDR, host->node_name);
        }
    }
    if (facts->network == NETWORK_FLANNEL && nodes > 256) {
        return error_new(err, STATUS_SCALE_OUT_ROOM, "%d nodes, but %s has 256 networks", nodes, POD_CIDR);
    }
    return 0;
}

static int room_apply(struct run *run, struct error **err)
{
    return check_addresses(run->facts, err) < 0 ? -1 : check_networks(run->facts, err);
}

const struct step step_check_room = {"check room for new nodes", NULL, room_apply, NULL};
