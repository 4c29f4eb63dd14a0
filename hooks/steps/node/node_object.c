#include <string.h>

#include "hooks/engine/run.h"
#include "hooks/steps/node/node_object.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"

static char *node_path(const struct run *run)
{
    return xasprintf("/api/v1/nodes/%s", run->facts->self->node_name);
}

static int get_node(struct run *run, struct deadline deadline, json_t **node, struct error **err)
{
    _cleanup_free_ char *path = node_path(run);
    return run_kube(run, err) < 0 ? -1 : kube_get(run->kube, path, deadline, node, NULL, err);
}

/* Without it `kubeadm upgrade node` fails; kubeadm sets it at the end of a join, which may have been interrupted. */
#define SOCKET_ANNOTATION "kubeadm.alpha.kubernetes.io/cri-socket"

static bool annotated(const json_t *node, const char *annotation, const char *value)
{
    const char *found = json_text_at(node, "metadata", "annotations", annotation, NULL);
    return value == NULL || (found != NULL && strcmp(found, value) == 0);
}

static int node_annotation_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_json_ json_t *node = NULL;
    if (get_node(run, run_deadline(run, 10), &node, NULL) < 0) {
        return 0;
    }
    return annotated(node, INSTANCE_ANNOTATION, run->facts->self->instance_id) &&
           annotated(node, SOCKET_ANNOTATION, json_text(run->facts->versions, "cri_socket"));
}

static int node_annotation_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *patch =
        json_pack("{s{s{ss ss*}}}", "metadata", "annotations", INSTANCE_ANNOTATION, run->facts->self->instance_id,
                  SOCKET_ANNOTATION, json_text(run->facts->versions, "cri_socket"));
    _cleanup_free_ char *path = node_path(run);
    return run_kube(run, err) < 0 ? -1 : kube_merge_patch(run->kube, path, patch, run_deadline(run, 30), err);
}

const struct step step_annotate_node = {"annotate node", node_annotation_done, node_annotation_apply, NULL};

int kubelet_query(struct run *run, struct deadline deadline, struct error **err)
{
    (void)run;
    static const struct http_request request = {.url = "http://127.0.0.1:10248/healthz", .limit = 65536};
    return http_fetch(&request, deadline_earlier(deadline, deadline_in(5000)), STATUS_UNIT, NULL, NULL, err);
}

int kubelet_wait(struct run *run, struct error **err)
{
    return run_until(run, kubelet_query, "kubelet", "healthy", run->conf->timeouts.unit_s, err);
}
