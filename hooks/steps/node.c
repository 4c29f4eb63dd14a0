#include <string.h>

#include "hooks/run.h"
#include "hooks/steps/kubeadm.h"
#include "hooks/steps/steps.h"
#include "lib/log.h"

static const char instance_annotation[] = "node.beta.kubernetes.io/instance-id";

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
    (void)json_unpack(node, "{s{s{ss}}}", "metadata", "annotations", instance_annotation, &instance);
    return instance != NULL && strcmp(instance, run->facts->self->instance_id) == 0;
}

static int node_annotation_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *patch =
        json_pack("{s{s{ss}}}", "metadata", "annotations", instance_annotation, run->facts->self->instance_id);
    _cleanup_free_ char *path = node_path(run);
    return run_kube(run, err) < 0 ? -1 : kube_merge_patch(run->kube, path, patch, run_deadline(run, 30), err);
}

const struct step step_node_annotation = {"node annotation", node_annotation_done, node_annotation_apply, NULL};

/* The node object tells what the kubelet said last, which may have been before it was started anew: so the kubelet is
 * asked too. */
static bool kubelet_ready(struct deadline deadline, char **reason)
{
    static const struct http_request request = {.url = "http://127.0.0.1:10248/healthz", .limit = 65536};
    struct http *http _cleanup_(http_freep) = NULL;
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_error_ struct error *failure = NULL;
    if (http_open(&http, NULL, &failure) < 0 || http_do(http, &request, deadline, STATUS_UNIT, &answer, &failure) < 0) {
        *reason = xstrdup(failure->message);
        return false;
    }
    if (answer.code != 200) {
        *reason = xasprintf("the kubelet's /healthz answers %ld", answer.code);
        return false;
    }
    return true;
}

static bool node_ready(struct run *run, struct deadline deadline, char **reason)
{
    _cleanup_error_ struct error *failure = NULL;
    _cleanup_json_ json_t *node = NULL;
    const char *why = "it has no Ready condition yet";
    if (get_node(run, deadline, &node, &failure) < 0) {
        *reason = xstrdup(failure->message);
        return false;
    }
    const char *ready = kube_condition(node, "Ready", &why);
    if (ready == NULL || strcmp(ready, "True") != 0) {
        *reason = xstrdup(why);
        return false;
    }
    return true;
}

int kubelet_wait(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.unit_s);
    for (;;) {
        _cleanup_free_ char *reason = NULL;
        if (kubelet_ready(deadline_earlier(deadline, deadline_in(5000)), &reason)) {
            return 0;
        }
        if (run_pause(250, deadline, err) < 0) {
            _cleanup_free_ char *tail = journal_tail("kubelet.service", 5);
            return error_wrap(err, "the kubelet is not healthy within %d s (%s); its last lines:\n%s",
                              run->conf->timeouts.unit_s, reason, tail);
        }
    }
}

static int node_ready_apply(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.api_s);
    for (;;) {
        _cleanup_free_ char *reason = NULL;
        struct deadline once = deadline_earlier(deadline, deadline_in(5000));
        if (kubelet_ready(once, &reason) && node_ready(run, once, &reason)) {
            return 0;
        }
        if (run_pause(250, deadline, err) < 0) {
            _cleanup_free_ char *tail = journal_tail("kubelet.service", 5);
            return error_wrap(err, "node %s not Ready within %d s (%s); last kubelet lines:\n%s",
                              run->facts->self->node_name, run->conf->timeouts.api_s, reason, tail);
        }
    }
}

const struct step step_node_ready = {"node Ready", NULL, node_ready_apply, NULL};
