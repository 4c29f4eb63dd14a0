#include <string.h>

#include "hooks/clients/docker.h"
#include "hooks/clients/static_pods.h"
#include "hooks/engine/run.h"
#include "hooks/files/pod_network.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

enum { REQUEST_S = 10, AGAIN_MS = 500 };

/* The node object; NULL where there is nothing to compare with: the API server does not answer, no pod network is
 * assigned yet, or another network mode. */
static int own_node(struct run *run, json_t **node, struct error **err)
{
    _cleanup_json_ json_t *found = NULL;
    _cleanup_error_ struct error *failure = NULL;
    *node = NULL;
    if (run->facts->network != NETWORK_FLANNEL) {
        return 0;
    }
    if (run_own_node(run, run_deadline(run, REQUEST_S), &found, &failure) < 0) {
        if (failure->status == STATUS_INTERRUPTED) {
            return error_move(err, &failure);
        }
        log_info("the node's pod network is not known: %s", failure->message);
        return 0;
    }
    *node = pod_network_of(found) == NULL ? NULL : json_incref(found);
    return 0;
}

static int renew_done(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *node = NULL;
    _cleanup_strv_ char **strays = NULL;
    int running = run_units(run, err) < 0 ? -1 : unit_active(run->units, "docker.service", err);
    if (running <= 0) {
        return running < 0 ? -1 : 1;
    }
    if (own_node(run, &node, err) < 0) {
        return -1;
    }
    if (node == NULL) {
        return 1;
    }
    _cleanup_free_ char *fault = pod_network_fault(run, node);
    if (fault != NULL) {
        return 0;
    }
    return pod_network_strays(run, pod_network_of(node), run_deadline(run, REQUEST_S), &strays, err) < 0
               ? -1
               : strays[0] == NULL;
}

/* It corrects its own device, routes and annotations at its start. */
static int restart_flannel(struct run *run, const json_t *node, struct error **err)
{
    static const struct static_pod_end end = {.signal = "TERM"};
    struct deadline deadline = run_deadline(run, run->conf->timeouts.unit_s);
    _cleanup_free_ char *fault = pod_network_fault(run, node);
    if (fault == NULL) {
        return 0;
    }
    log_notice("flannel is restarted: %s", fault);
    if (static_pod_end("kube-flannel", &end, run_deadline(run, REQUEST_S), err) < 0) {
        return -1;
    }
    while (fault != NULL) {
        _cleanup_json_ json_t *now = NULL;
        if (run_pause(AGAIN_MS, deadline, err) < 0) {
            return error_wrap(err, "%s: see the log of flannel's pod here, in namespace kube-flannel", fault);
        }
        if (own_node(run, &now, err) < 0) {
            return -1;
        }
        if (now != NULL) {
            free(fault);
            fault = pod_network_fault(run, now);
        }
    }
    return 0;
}

/* The kubelet makes a sandbox again, with an address of the network that flannel has set up, and in it the pod's
 * containers; what the old one held is freed by the plugins that gave it. */
static int restart_strays(struct run *run, const char *cidr, struct error **err)
{
    _cleanup_strv_ char **strays = NULL;
    if (pod_network_strays(run, cidr, run_deadline(run, REQUEST_S), &strays, err) < 0) {
        return -1;
    }
    if (strays[0] != NULL) {
        log_notice("%zu pods with addresses outside of this node's pod network %s are restarted", strv_length(strays),
                   cidr);
    }
    for (char **id = strays; *id != NULL; id++) {
        _cleanup_error_ struct error *refusal = NULL;
        _cleanup_free_ char *path = xasprintf("/containers/%s/kill", *id);
        if (docker_call("POST", path, run_deadline(run, REQUEST_S), NULL, &refusal) == 0) {
            continue;
        }
        if (refusal->status != STATUS_COMMAND) {
            return error_move(err, &refusal);
        }
        log_info("sandbox %.12s has ended by itself: %s", *id, refusal->message);
    }
    return 0;
}

/* flannel first: a sandbox that is made again before gets an address of the former network once more. */
static int renew_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *node = NULL;
    if (own_node(run, &node, err) < 0) {
        return -1;
    }
    return node == NULL ? 0 : restart_flannel(run, node, err) < 0 ? -1 : restart_strays(run, pod_network_of(node), err);
}

const struct step step_renew_pod_network = {"renew pod network", renew_done, renew_apply, NULL};
