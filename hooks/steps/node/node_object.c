#include <string.h>

#include "hooks/engine/run.h"
#include "hooks/steps/control_plane/kubeadm.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

static char *node_path(const struct run *run)
{
    return xasprintf("/api/v1/nodes/%s", run->facts->self->node_name);
}

static int get_node(struct run *run, struct deadline deadline, json_t **node, struct error **err)
{
    _cleanup_free_ char *path = node_path(run);
    return run_kube(run, err) < 0 ? -1 : kube_get(run->kube, path, deadline, node, NULL, err);
}

static int node_annotation_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_json_ json_t *node = NULL;
    if (get_node(run, run_deadline(run, 10), &node, NULL) < 0) {
        return 0;
    }
    const char *instance = NULL;
    (void)json_unpack(node, "{s{s{ss}}}", "metadata", "annotations", INSTANCE_ANNOTATION, &instance);
    return instance != NULL && strcmp(instance, run->facts->self->instance_id) == 0;
}

static int node_annotation_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *patch =
        json_pack("{s{s{ss}}}", "metadata", "annotations", INSTANCE_ANNOTATION, run->facts->self->instance_id);
    _cleanup_free_ char *path = node_path(run);
    return run_kube(run, err) < 0 ? -1 : kube_merge_patch(run->kube, path, patch, run_deadline(run, 30), err);
}

const struct step step_annotate_node = {"annotate node", node_annotation_done, node_annotation_apply, NULL};

static int ask_kubelet(struct run *run, struct deadline deadline, struct error **err)
{
    (void)run;
    static const struct http_request request = {.url = "http://127.0.0.1:10248/healthz", .limit = 65536};
    return http_fetch(&request, deadline_earlier(deadline, deadline_in(5000)), STATUS_UNIT, NULL, NULL, err);
}

int kubelet_wait(struct run *run, struct error **err)
{
    return run_until(run, ask_kubelet, "kubelet", "healthy", run->conf->timeouts.unit_s, err);
}

static bool not_ready(void *reason, const json_t *node)
{
    const char *why = "it has no Ready condition yet";
    const char *ready = kube_condition(node, "Ready", &why);
    bool is_ready = ready != NULL && strcmp(ready, "True") == 0;
    free(*(char **)reason);
    *(char **)reason = xstrdup(is_ready ? NULL : why);
    return !is_ready;
}

/* The node object tells what the kubelet said last, which may have been before it was started anew: so the kubelet is
 * asked too. */
static int watch_node(struct run *run, struct deadline deadline, struct error **err)
{
    _cleanup_free_ char *path =
        xasprintf("/api/v1/nodes?fieldSelector=metadata.name%%3D%s", run->facts->self->node_name);
    _cleanup_free_ char *reason = NULL;
    if (ask_kubelet(run, deadline, err) < 0 || run_kube(run, err) < 0) {
        return -1;
    }
    if (kube_watch(run->kube, path, deadline, not_ready, &reason, err) < 0) {
        return reason == NULL ? -1 : error_wrap(err, "%s", reason);
    }
    return 0;
}

static int node_ready_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *what = xasprintf("node %s", run->facts->self->node_name);
    return run_until(run, watch_node, what, "Ready", run->conf->timeouts.api_s, err);
}

const struct step step_wait_for_node = {"wait for node Ready", NULL, node_ready_apply, NULL};
