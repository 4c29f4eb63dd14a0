#include "hooks/clients/pods.h"

#include <string.h>

#include "hooks/engine/run.h"
#include "lib/core/json.h"

static const json_t *metadata(const json_t *pod)
{
    return json_object_get(pod, "metadata");
}

const char *pod_namespace(const json_t *pod)
{
    return json_text(metadata(pod), "namespace");
}

const char *pod_name(const json_t *pod)
{
    return json_text(metadata(pod), "name");
}

bool pod_has_condition(const json_t *pod, const char *type, const char *status)
{
    const char *is = kube_condition(pod, type, NULL);
    return json_object_get(metadata(pod), "deletionTimestamp") == NULL && is != NULL && strcmp(is, status) == 0;
}

bool pod_moves(const json_t *pod)
{
    /* The kubelet marks the API's image of a static pod so. */
    if (json_object_get(json_object_get(metadata(pod), "annotations"), "kubernetes.io/config.mirror") != NULL) {
        return false;
    }
    size_t i;
    json_t *owner;
    json_array_foreach (json_object_get(metadata(pod), "ownerReferences"), i, owner) {
        const char *kind = json_text(owner, "kind");
        if (kind != NULL && strcmp(kind, "DaemonSet") == 0) {
            return false;
        }
    }
    return true;
}

char *pods_that_move(const json_t *pods)
{
    struct buffer names = {0};
    size_t i;
    json_t *pod;
    json_array_foreach (pods, i, pod) {
        if (pod_moves(pod) && json_object_get(metadata(pod), "deletionTimestamp") == NULL) {
            buffer_printf(&names, "%s%s/%s", names.len == 0 ? "" : " ", pod_namespace(pod), pod_name(pod));
        }
    }
    return names.data;
}

int pods_on_node(struct run *run, const char *node, struct deadline deadline, json_t **pods, struct error **err)
{
    _cleanup_json_ json_t *list = NULL;
    _cleanup_free_ char *path = xasprintf(
        "/api/v1/pods?fieldSelector=spec.nodeName%%3D%s%%2Cstatus.phase%%21%%3DSucceeded%%2Cstatus.phase%%21%%3DFailed",
        node);
    if (run_kube(run, err) < 0 || kube_get(run->kube, path, deadline, &list, NULL, err) < 0) {
        return -1;
    }
    *pods = json_incref(json_object_get(list, "items"));
    return json_is_array(*pods) ? 0
                                : error_new(err, STATUS_API, "the API server's list of pods on %s has no items", node);
}

int pod_addresses_left(struct kube *kube, const struct facts *facts, struct deadline deadline, int64_t *left,
                       int64_t *all, struct error **err)
{
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    _cleanup_json_ json_t *list = NULL;
    size_t i = 0;
    json_t *pool;
    if (kube_get(kube, "/apis/network.qingcloud.com/v1alpha1/ippools", deadline, &list, NULL, err) < 0) {
        return -1;
    }
    *left = 0;
    *all = 0;
    json_array_foreach (json_object_get(list, "items"), i, pool) {
        const char *name = json_text_at(pool, "metadata", "name", NULL);
        const json_t *status = json_object_get(pool, "status");
        if (name != NULL && strv_contains(vxnets, name) && status != NULL) {
            json_int_t unallocated = json_integer_value(json_object_get(status, "unallocated"));
            *left += unallocated;
            *all += unallocated + json_integer_value(json_object_get(status, "allocations"));
        }
    }
    return 0;
}

/* How hostnic's plugin begins what it reports to the kubelet (hostnic-cni v1.0, cmd/hostnic). */
#define NO_ADDRESS "failed to alloc addr"

/* The newest event of POD that says so, from those words on; NULL: none. Borrowed. */
static const char *refusal_in(const json_t *events, const json_t *pod)
{
    const char *uid = json_text_at(pod, "metadata", "uid", NULL);
    const char *why = NULL;
    const char *newest = "";
    size_t i;
    json_t *event;
    json_array_foreach (json_object_get(events, "items"), i, event) {
        const char *when = json_text_or(event, "lastTimestamp", "");
        const char *of = json_text_at(event, "involvedObject", "uid", NULL);
        const char *text = strstr(json_text_or(event, "message", ""), NO_ADDRESS);
        if (uid != NULL && of != NULL && text != NULL && strcmp(uid, of) == 0 && strcmp(when, newest) >= 0) {
            newest = when;
            why = text;
        }
    }
    return why;
}

static bool holds_key(const struct parameters *p, const char *text)
{
    return (p->access_key_id != NULL && strstr(text, p->access_key_id) != NULL) ||
           (p->secret_access_key != NULL && strstr(text, p->secret_access_key) != NULL);
}

int pod_address_refusal(struct kube *kube, const struct facts *facts, struct deadline deadline, char **refusal,
                        struct error **err)
{
    static const char pending[] = "/api/v1/pods?fieldSelector=status.phase%3DPending%2Cspec.nodeName%21%3D&limit=500";
    static const char failures[] = "/api/v1/events?fieldSelector=reason%3DFailedCreatePodSandBox&limit=500";
    _cleanup_json_ json_t *pods = NULL;
    _cleanup_json_ json_t *events = NULL;
    size_t i;
    json_t *pod;
    if (kube_get(kube, pending, deadline, &pods, NULL, err) < 0) {
        return -1;
    }
    *refusal = NULL;
    if (json_array_size(json_object_get(pods, "items")) == 0) {
        return 0;
    }
    if (kube_get(kube, failures, deadline, &events, NULL, err) < 0) {
        return -1;
    }
    json_array_foreach (json_object_get(pods, "items"), i, pod) {
        const char *why = refusal_in(events, pod);
        if (why != NULL && json_text_at(pod, "status", "podIP", NULL) == NULL) {
            *refusal = xasprintf("%s/%s on %s: %.300s", pod_namespace(pod), pod_name(pod),
                                 json_text_or(json_object_get(pod, "spec"), "nodeName", "?"),
                                 holds_key(&facts->parameters, why) ? NO_ADDRESS " (the rest holds the API key)" : why);
            return 0;
        }
    }
    return 0;
}
