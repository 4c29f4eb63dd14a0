#include <string.h>

#include "hooks/clients/kubectl.h"
#include "hooks/clients/pods.h"
#include "hooks/clients/volume_attachments.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cluster/leaving.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

enum { UNKNOWN_S = 60, NOT_READY_S = 300, PAUSE_MS = 2000 };

int leaving_node(struct run *run, const char *name, json_t **node, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", name);
    long code = 0;
    *node = NULL;
    if (run_kube(run, err) < 0) {
        return -1;
    }
    return kube_get(run->kube, path, run_deadline(run, 10), node, &code, &failure) == 0 || code == 404
               ? 0
               : error_move(err, &failure);
}

bool node_discarded(const json_t *node)
{
    const json_t *annotations = json_object_get(json_object_get(node, "metadata"), "annotations");
    const char *value = json_text(annotations, DISCARD_ANNOTATION);
    return value != NULL && strcmp(value, "true") == 0;
}

/* The Ready condition: its status, and since when; false when there is none. */
static bool ready_since(const json_t *node, const char **status, time_t *since)
{
    size_t i;
    json_t *condition;
    json_array_foreach (json_object_get(json_object_get(node, "status"), "conditions"), i, condition) {
        const char *type = NULL;
        const char *at = NULL;
        struct tm tm = {0};
        if (json_unpack(condition, "{ss ss ss}", "type", &type, "status", status, "lastTransitionTime", &at) == 0 &&
            strcmp(type, "Ready") == 0 && strptime(at, "%Y-%m-%dT%H:%M:%SZ", &tm) != NULL) {
            *since = timegm(&tm);
            return true;
        }
    }
    return false;
}

bool node_dead(const json_t *node, time_t now)
{
    const char *status = NULL;
    time_t since = 0;
    if (!ready_since(node, &status, &since)) {
        return false;
    }
    return (strcmp(status, "Unknown") == 0 && now - since >= UNKNOWN_S) ||
           (strcmp(status, "False") == 0 && now - since >= NOT_READY_S);
}

/* One that has just stopped reporting is dead or back within the minute. */
static int await_verdict(struct run *run, const char *name, bool *dead, struct error **err)
{
    struct deadline deadline = run_deadline(run, UNKNOWN_S + 30);
    for (bool logged = false;; logged = true) {
        _cleanup_json_ json_t *node = NULL;
        const char *status = NULL;
        time_t since = 0;
        if (leaving_node(run, name, &node, err) < 0) {
            return -1;
        }
        *dead = node_dead(node, time(NULL));
        if (*dead || !ready_since(node, &status, &since) || strcmp(status, "Unknown") != 0) {
            return 0;
        }
        if (!logged) {
            log_notice("%s does not report: waiting until it does, or has not for %d s", name, UNKNOWN_S);
        }
        if (run_pause(PAUSE_MS, deadline, err) < 0) {
            return -1;
        }
    }
}

static int delete_pods(struct run *run, const char *name, struct error **err)
{
    _cleanup_json_ json_t *pods = NULL;
    size_t i;
    json_t *pod;
    if (pods_on_node(run, name, run_deadline(run, 30), &pods, err) < 0) {
        return -1;
    }
    log_warning("%s: its kubelet is gone; its %zu pods are deleted without waiting for it", name,
                json_array_size(pods));
    json_array_foreach (pods, i, pod) {
        _cleanup_free_ char *path =
            xasprintf("/api/v1/namespaces/%s/pods/%s?gracePeriodSeconds=0", pod_namespace(pod), pod_name(pod));
        long code = 0;
        if (kube_delete(run->kube, path, run_deadline(run, 30), &code, err) < 0) {
            return -1;
        }
        log_info("%s: pod %s/%s deleted", name, pod_namespace(pod), pod_name(pod));
    }
    return 0;
}

/* The machine is still there until AppCenter deletes it, so the volumes' driver has to detach them. */
static int abandon(struct run *run, const char *name, struct error **err)
{
    return delete_pods(run, name, err) < 0 ? -1 : volume_attachments_delete(run, name, false, err);
}

static int drain(struct run *run, const char *name, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    _cleanup_free_ char *timeout = xasprintf("--timeout=%ds", run->conf->timeouts.drain_s);
    const char *const arguments[] = {"drain", "--ignore-daemonsets", "--delete-emptydir-data", "--force", timeout, name,
                                     NULL};
    if (kubectl(run, arguments, NULL, NULL, &failure) == 0) {
        return 0;
    }
    if (failure->status != STATUS_INTERRUPTED) {
        bool budget = strstr(failure->message, "disruption budget") != NULL;
        failure->status = budget ? STATUS_SCALE_IN_BUDGET : STATUS_SCALE_IN_DRAIN;
    }
    return error_move(err, &failure);
}

/* A pod that names its node itself bypasses the scheduler and comes back where it was. */
static int check_drained(struct run *run, const char *name, struct error **err)
{
    _cleanup_json_ json_t *node = NULL;
    _cleanup_json_ json_t *pods = NULL;
    _cleanup_free_ char *left = NULL;
    if (leaving_node(run, name, &node, err) < 0 || pods_on_node(run, name, run_deadline(run, 30), &pods, err) < 0) {
        return -1;
    }
    left = pods_that_move(pods);
    if (left == NULL || node_discarded(node)) {
        return 0;
    }
    return error_new(err, STATUS_DESTROY_PODS,
                     "%s is drained, but these pods came back, as they name the node themselves: %s: delete what "
                     "creates them, or give them up with `kubectl annotate node %s " DISCARD_ANNOTATION "=true`",
                     name, left, name);
}

int node_evacuate(struct run *run, const char *name, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    bool dead = false;
    if (await_verdict(run, name, &dead, err) < 0) {
        return -1;
    }
    if (dead) {
        return abandon(run, name, err);
    }
    if (drain(run, name, &failure) == 0) {
        return check_drained(run, name, err);
    }
    /* It may have died meanwhile. */
    if (failure->status != STATUS_INTERRUPTED && await_verdict(run, name, &dead, NULL) == 0 && dead) {
        return abandon(run, name, err);
    }
    return error_move(err, &failure);
}
