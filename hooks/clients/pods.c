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
