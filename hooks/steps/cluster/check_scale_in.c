#include <string.h>

#include "hooks/clients/pods.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cluster/leaving.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

/* AppCenter offers no log node or 2 to 5 of them: one alone cannot elect a master that survives it. */
enum { LOGS_MINIMUM = 2, WORKERS_MINIMUM = 1 };

bool host_leaves(const struct host *host)
{
    return host->deleting && host->is->node;
}

static int check_counts(const struct facts *facts, struct error **err)
{
    int workers = 0;
    bool worker_leaves = false;
    bool log_leaves = false;
    for (size_t i = 0; i < facts->n_hosts; i++) {
        const struct host *host = &facts->hosts[i];
        if (host_leaves(host) && host->is->control_plane) {
            return error_new(err, STATUS_SCALE_IN_MASTER, "the master %s is among the nodes to be deleted", host->ip);
        }
        workers += host->is->worker && !host->deleting;
        worker_leaves = worker_leaves || (host->is->worker && host->deleting);
        log_leaves = log_leaves || (host->is->log && host->deleting);
    }
    if (worker_leaves && workers < WORKERS_MINIMUM) {
        return error_new(err, STATUS_SCALE_IN_MINIMUM, "%d worker nodes would be left, at least %d must stay", workers,
                         WORKERS_MINIMUM);
    }
    if (log_leaves && facts->n_logs > 0 && facts->n_logs < LOGS_MINIMUM) {
        return error_new(err, STATUS_SCALE_IN_MINIMUM, "%d log node would be left: keep %d or none", facts->n_logs,
                         LOGS_MINIMUM);
    }
    return 0;
}

/* A volume that lies on the node itself stays behind when its pod moves. */
static int check_volume(struct run *run, const json_t *pod, const char *claim, struct error **err)
{
    _cleanup_json_ json_t *pvc = NULL;
    _cleanup_json_ json_t *pv = NULL;
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/persistentvolumeclaims/%s", pod_namespace(pod), claim);
    if (kube_get(run->kube, path, run_deadline(run, 10), &pvc, NULL, err) < 0) {
        return -1;
    }
    const char *volume = json_text(json_object_get(pvc, "spec"), "volumeName");
    if (volume == NULL) {
        return 0;
    }
    _cleanup_free_ char *volume_path = xasprintf("/api/v1/persistentvolumes/%s", volume);
    if (kube_get(run->kube, volume_path, run_deadline(run, 10), &pv, NULL, err) < 0) {
        return -1;
    }
    const json_t *spec = json_object_get(pv, "spec");
    if (json_object_get(spec, "local") == NULL && json_object_get(spec, "hostPath") == NULL) {
        return 0;
    }
    return error_new(err, STATUS_SCALE_IN_VOLUME,
                     "pod %s/%s keeps its data in volume %s, which lies on the node itself", pod_namespace(pod),
                     pod_name(pod), volume);
}

static int check_volumes(struct run *run, const json_t *pod, struct error **err)
{
    size_t i;
    json_t *volume;
    json_array_foreach (json_object_get(json_object_get(pod, "spec"), "volumes"), i, volume) {
        const char *claim = NULL;
        (void)json_unpack(volume, "{s{ss}}", "persistentVolumeClaim", "claimName", &claim);
        if (claim != NULL && check_volume(run, pod, claim, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* An eviction that is only tried; the server itself knows whether a budget forbids it. */
static int try_eviction(struct run *run, const json_t *pod, const char *version, long *code, struct error **err)
{
    _cleanup_json_ json_t *eviction =
        json_pack("{ss ss s{ss ss} s{s[s]}}", "apiVersion", version, "kind", "Eviction", "metadata", "name",
                  pod_name(pod), "namespace", pod_namespace(pod), "deleteOptions", "dryRun", "All");
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/pods/%s/eviction", pod_namespace(pod), pod_name(pod));
    return kube_post(run->kube, path, eviction, run_deadline(run, 10), code, err);
}

/* Servers before 1.22 know evictions of policy/v1beta1 alone, later ones may have dropped it: then they answer 400. */
static int check_budget(struct run *run, const json_t *pod, struct error **err)
{
    static const char *const versions[] = {"policy/v1beta1", "policy/v1"};
    _cleanup_error_ struct error *refusal = NULL;
    long code = 400;
    for (size_t i = 0; i < ELEMENTS(versions) && code == 400; i++) {
        error_freep(&refusal);
        refusal = NULL;
        if (try_eviction(run, pod, versions[i], &code, &refusal) == 0 || code == 404) {
            return 0;
        }
    }
    return error_new(err, code == 429 ? STATUS_SCALE_IN_BUDGET : refusal->status, "pod %s/%s cannot be evicted: %s",
                     pod_namespace(pod), pod_name(pod), refusal->message);
}

/* The budget of our Elasticsearch keeps the majority of its nodes: where none of them stays there is none to keep. What
 * they hold is guarded by destroy. */
static bool is_budget_void(const struct run *run, const json_t *pod)
{
    const json_t *labels = json_object_get(json_object_get(pod, "metadata"), "labels");
    return run->facts->n_logs == 0 && strcmp(pod_namespace(pod), "kube-system") == 0 &&
           strcmp(json_text_or(labels, "k8s-app", ""), "elasticsearch-logging") == 0;
}

static int check_pod(struct run *run, const json_t *pod, struct error **err)
{
    if (!pod_moves(pod)) {
        return 0;
    }
    return check_volumes(run, pod, err) < 0 ? -1 : is_budget_void(run, pod) ? 0 : check_budget(run, pod, err);
}

static int check_node(struct run *run, const struct host *host, struct error **err)
{
    _cleanup_json_ json_t *node = NULL;
    _cleanup_json_ json_t *pods = NULL;
    if (leaving_node(run, host->node_name, &node, err) < 0) {
        return -1;
    }
    /* A dead node has lost its pods already: no budget can keep them. */
    if (node == NULL || node_dead(node, time(NULL))) {
        return 0;
    }
    if (pods_on_node(run, host->node_name, run_deadline(run, 30), &pods, err) < 0) {
        return -1;
    }
    size_t i;
    json_t *pod;
    json_array_foreach (pods, i, pod) {
        if (check_pod(run, pod, err) < 0) {
            return error_wrap(err, "node %s", host->node_name);
        }
    }
    return 0;
}

static int check_scale_in_apply(struct run *run, struct error **err)
{
    _cleanup_strv_ char **logs = xcalloc(1, sizeof *logs);
    if (check_counts(run->facts, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < run->facts->n_hosts; i++) {
        const struct host *host = &run->facts->hosts[i];
        if (!host_leaves(host)) {
            continue;
        }
        if (check_node(run, host, err) < 0) {
            return -1;
        }
        if (host->is->log) {
            strv_push(&logs, host->node_name);
        }
    }
    return logs_check(run, logs, err);
}

const struct step step_check_scale_in = {"pre-check scale-in", NULL, check_scale_in_apply, NULL};
