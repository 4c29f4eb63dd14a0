#include <string.h>

#include "hooks/clients/kubectl.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cluster/leaving.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

/* Those that leave and are still in the cluster: a rerun finds fewer. */
struct leaving {
    char **nodes;
    char **logs; /* those of them that hold logs */
};

static void leaving_free(struct leaving *leaving)
{
    strv_free(leaving->nodes);
    strv_free(leaving->logs);
}

static int list_leaving(struct run *run, struct leaving *leaving, struct error **err)
{
    leaving->nodes = xcalloc(1, sizeof *leaving->nodes);
    leaving->logs = xcalloc(1, sizeof *leaving->logs);
    for (size_t i = 0; i < run->facts->n_hosts; i++) {
        const struct host *host = &run->facts->hosts[i];
        _cleanup_json_ json_t *node = NULL;
        if (!host_leaves(host)) {
            continue;
        }
        if (leaving_node(run, host->node_name, &node, err) < 0) {
            return -1;
        }
        if (node != NULL) {
            strv_push(&leaving->nodes, host->node_name);
        }
        if (node != NULL && host->is->log) {
            strv_push(&leaving->logs, host->node_name);
        }
    }
    return 0;
}

static int on_all(const struct run *run, const char *verb, char *const *nodes, struct error **err)
{
    _cleanup_strv_ char **arguments = NULL;
    strv_push(&arguments, verb);
    for (; *nodes != NULL; nodes++) {
        strv_push(&arguments, *nodes);
    }
    return kubectl(run, (const char *const *)arguments, NULL, NULL, err);
}

/* All of them, whichever could not be drained. */
static void uncordon(const struct run *run, char *const *nodes)
{
    _cleanup_error_ struct error *why = NULL;
    if (on_all(run, "uncordon", nodes, &why) < 0) {
        log_warning("the nodes are still cordoned; run `kubectl uncordon` on them: %s", why->message);
    }
}

/* One after the other: a disruption budget may let no two be away. */
static int evacuate(struct run *run, const struct leaving *leaving, struct error **err)
{
    for (char **node = leaving->nodes; *node != NULL; node++) {
        if (node_evacuate(run, *node, err) < 0 || (strv_contains(leaving->logs, *node) && logs_shrink(run, err) < 0)) {
            return -1;
        }
        log_info("%s is drained", *node);
    }
    return 0;
}

static int delete_nodes(struct run *run, char *const *nodes, struct error **err)
{
    for (; *nodes != NULL; nodes++) {
        _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", *nodes);
        long code = 0;
        if (kube_delete(run->kube, path, run_deadline(run, 30), &code, err) < 0) {
            return -1;
        }
        log_info("%s has left the cluster", *nodes);
    }
    return 0;
}

static int empty_nodes(struct run *run, const struct leaving *leaving, struct error **err)
{
    struct logs_move *move = NULL;
    if (logs_move_begin(run, leaving->logs, &move, err) < 0) {
        return -1;
    }
    int r = evacuate(run, leaving, err);
    logs_move_end(run, move, r == 0);
    return r;
}

static int drain_and_delete_apply(struct run *run, struct error **err)
{
    _cleanup_(leaving_free) struct leaving leaving = {0};
    if (list_leaving(run, &leaving, err) < 0) {
        return -1;
    }
    if (leaving.nodes[0] == NULL) {
        return 0;
    }
    if (on_all(run, "cordon", leaving.nodes, err) < 0) {
        return -1;
    }
    if (empty_nodes(run, &leaving, err) < 0) {
        uncordon(run, leaving.nodes);
        return -1;
    }
    return delete_nodes(run, leaving.nodes, err);
}

const struct step step_delete_nodes = {"drain and delete nodes", NULL, drain_and_delete_apply, NULL};
