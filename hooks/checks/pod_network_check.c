#include "hooks/checks/checks.h"
#include "hooks/checks/own_node.h"
#include "hooks/engine/run.h"
#include "hooks/files/pod_network.h"

static const char remedy[] =
    "run `revive`, as AppCenter does: it restarts flannel and the pods that have such addresses";

void pod_network_compare(const struct run *run, const json_t *node, struct deadline deadline, struct finding *finding)
{
    const char *cidr = pod_network_of(node);
    _cleanup_free_ char *fault = pod_network_fault(run, node);
    _cleanup_strv_ char **strays = NULL;
    _cleanup_error_ struct error *failure = NULL;
    if (cidr == NULL) {
        finding_ok(finding, "no pod network is assigned to this node yet");
    } else if (fault != NULL) {
        finding_fails(finding, remedy, "%s", fault);
    } else if (pod_network_strays(run, cidr, deadline, &strays, &failure) < 0) {
        finding_ok(finding, "the pods' addresses are not known: %s", failure->message);
    } else if (strays[0] != NULL) {
        finding_fails(finding, remedy, "%zu pods have addresses outside of this node's pod network %s",
                      strv_length(strays), cidr);
    } else {
        finding_ok(finding, "pods have addresses of %s", cidr);
    }
}

/* Whether Docker or the API server answers is for other checks to tell. */
static void probe_pod_network(const struct check_context *context, struct finding *finding)
{
    _cleanup_json_ json_t *node = NULL;
    _cleanup_error_ struct error *failure = NULL;
    if (context->run->facts->network != NETWORK_FLANNEL) {
        finding_ok(finding, "not flannel's");
    } else if (own_node_get(context, &node, &failure) < 0) {
        finding_ok(finding, "the node's pod network is not known: %s", failure->message);
    } else {
        pod_network_compare(context->run, node, context->deadline, finding);
    }
}

const struct check check_pod_network = {.name = "pod-network", .severity = FAILS, .probe = probe_pod_network};
