#include <string.h>

#include "app/paths.h"
#include "hooks/clients/pods.h"
#include "hooks/clients/volume_attachments.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cluster/gone_machine.h"
#include "hooks/steps/control_plane/restore.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"

/* What was restored from another cluster's backup names that cluster's machines, and its pods trust its CAs. */

#define NODES "/api/v1/nodes"
#define FLANNEL_NAMESPACE "kube-flannel"
#define TOKENS "/api/v1/secrets?fieldSelector=type%3Dkubernetes.io%2Fservice-account-token"

enum { FLANNEL_S = 60 };

static int list(struct run *run, const char *path, json_t **items, struct error **err)
{
    _cleanup_json_ json_t *answer = NULL;
    if (run_kube(run, err) < 0 || kube_get(run->kube, path, run_deadline(run, 30), &answer, NULL, err) < 0) {
        return -1;
    }
    *items = json_incref(json_object_get(answer, "items"));
    return 0;
}

/* A kubelet labels its node only when it registers it. */
static int correct_node(struct run *run, const json_t *node, struct error **err)
{
    const char *name = json_text_at(node, "metadata", "name", NULL);
    const struct host *host = facts_node(run->facts, name);
    _cleanup_free_ char *path = xasprintf(NODES "/%s", name);
    if (host == NULL) {
        long code = 0;
        log_info("stale node %s deleted", name);
        return volume_attachments_delete(run, name, true, err) < 0
                   ? -1
                   : kube_delete(run->kube, path, run_deadline(run, 30), &code, err);
    }
    const char *gone = gone_instance(node, host);
    if (gone != NULL && gone_machine_forget(run, name, gone, err) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *patch = json_pack("{s{s{ss} s{ss}}}", "metadata", "labels", "node_id", host->node_id,
                                             "annotations", INSTANCE_ANNOTATION, host->instance_id);
    return kube_merge_patch(run->kube, path, patch, run_deadline(run, 30), err);
}

static int correct_nodes(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *nodes = NULL;
    size_t i;
    json_t *node;
    if (list(run, NODES, &nodes, err) < 0) {
        return -1;
    }
    json_array_foreach (nodes, i, node) {
        if (correct_node(run, node, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool all_name(const json_t *tokens, const char *ca)
{
    size_t i;
    json_t *token;
    json_array_foreach (tokens, i, token) {
        const char *has = json_text_at(token, "data", "ca.crt", NULL);
        if (has == NULL || strcmp(has, ca) != 0) {
            return false;
        }
    }
    return true;
}

/* The controller manager writes this cluster's CA into the old tokens. */
static int await_ca(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.api_s);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    if (file_read(CA_CERTIFICATE, 0, &text, &len, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *ca = base64_encode(text, len);
    for (;;) {
        _cleanup_json_ json_t *tokens = NULL;
        if (list(run, TOKENS, &tokens, err) < 0) {
            return -1;
        }
        if (all_name(tokens, ca)) {
            return 0;
        }
        if (run_pause(500, deadline, err) < 0) {
            return error_wrap(err, "the tokens of service accounts still name the old cluster's CA: see the "
                                   "log of kube-controller-manager");
        }
    }
}

/* Static pods are the kubelet's; a pod that nobody would make again stays. */
static bool made_again(const json_t *pod)
{
    size_t i;
    json_t *owner;
    json_array_foreach (json_object_get(json_object_get(pod, "metadata"), "ownerReferences"), i, owner) {
        const char *kind = json_text(owner, "kind");
        if (json_is_true(json_object_get(owner, "controller")) && kind != NULL && strcmp(kind, "Node") != 0) {
            return true;
        }
    }
    return false;
}

static bool of_flannel(const json_t *pod)
{
    return strcmp(pod_namespace(pod), FLANNEL_NAMESPACE) == 0;
}

/* Deletes flannel's pods, or the others; *EXPECTED is how many of them were on machines of this cluster. */
static int replace_pods(struct run *run, bool flannel, size_t *expected, struct error **err)
{
    _cleanup_json_ json_t *pods = NULL;
    size_t i;
    json_t *pod;
    *expected = 0;
    if (list(run, "/api/v1/pods", &pods, err) < 0) {
        return -1;
    }
    json_array_foreach (pods, i, pod) {
        long code = 0;
        _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/pods/%s", pod_namespace(pod), pod_name(pod));
        if (of_flannel(pod) != flannel || !made_again(pod)) {
            continue;
        }
        if (kube_delete(run->kube, path, run_deadline(run, 30), &code, err) < 0) {
            return -1;
        }
        *expected += facts_node(run->facts, json_text_at(pod, "spec", "nodeName", NULL)) != NULL;
    }
    return 0;
}

static size_t count_ready(const json_t *pods)
{
    size_t ready = 0;
    size_t i;
    json_t *pod;
    json_array_foreach (pods, i, pod) {
        ready += pod_has_condition(pod, "Ready", "True");
    }
    return ready;
}

/* Until WANTED new ones are ready. A node that is off has none: the others are not to wait for it for long, and what
 * came too early on some node its health check finds (check_pod_network). */
static int await_flannel(struct run *run, size_t wanted, struct error **err)
{
    struct deadline deadline = run_deadline(run, FLANNEL_S);
    for (;;) {
        _cleanup_error_ struct error *late = NULL;
        _cleanup_json_ json_t *pods = NULL;
        if (list(run, "/api/v1/namespaces/" FLANNEL_NAMESPACE "/pods", &pods, err) < 0) {
            return -1;
        }
        size_t ready = count_ready(pods);
        if (ready >= wanted) {
            return 0;
        }
        if (run_pause(500, deadline, &late) < 0) {
            if (late->status == STATUS_INTERRUPTED) {
                return error_move(err, &late);
            }
            log_warning("flannel is ready on %zu of %zu nodes after %d s", ready, wanted, FLANNEL_S);
            return 0;
        }
    }
}

/* They read CA and addresses when they start, and that may have been before these were corrected. flannel's come first:
 * a node has another pod network now, and until flannel knows it other pods get addresses of the former one. */
static int replace_all_pods(struct run *run, struct error **err)
{
    size_t expected = 0;
    if (replace_pods(run, true, &expected, err) < 0 || await_flannel(run, expected, err) < 0) {
        return -1;
    }
    return replace_pods(run, false, &expected, err);
}

static int adopt_done(struct run *run, struct error **err)
{
    bool foreign = false;
    return backup_is_foreign(run, &foreign, err) < 0 ? -1 : !foreign;
}

/* The token's step also publishes this cluster's CA to whoever joins. */
static int adopt_apply(struct run *run, struct error **err)
{
    return correct_nodes(run, err) == 0 && await_ca(run, err) == 0 && replace_all_pods(run, err) == 0
               ? step_enable_token.apply(run, err)
               : -1;
}

const struct step step_adopt_backup = {"adopt a foreign backup", adopt_done, adopt_apply, NULL};
