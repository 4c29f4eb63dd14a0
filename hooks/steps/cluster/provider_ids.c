#include <string.h>
#include <unistd.h>

#include "hooks/engine/run.h"
#include "hooks/steps/cluster/gone_machine.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

/* A machine that comes back has a new instance id. What names the former one goes before any pod starts: attachments of
 * volumes, drivers in the CSINode, the node's own list of volumes. The API server lets nobody change a node's
 * spec.providerID, so that node object is replaced by its like: labels, annotations, taints, cordon and pod network
 * stay. Between the two requests the object lies in the state directory, so that a kill there loses nothing. The
 * annotation with the instance is changed last: it shows what is still to be done. */

#define PENDING "replaced-node.json"

static char *provider_id(const struct host *host)
{
    return xasprintf("qingcloud://%s", host->instance_id);
}

static const char *name_of(const json_t *node)
{
    return json_text_at(node, "metadata", "name", NULL);
}

/* Whether NODE names another provider's id than HOST has; a node without one has no cloud controller. */
static bool provider_differs(const json_t *node, const struct host *host)
{
    const char *current = json_text_at(node, "spec", "providerID", NULL);
    _cleanup_free_ char *wanted = provider_id(host);
    return !str_empty(current) && strcmp(current, wanted) != 0;
}

/* The host whose instance NODE should name and does not; NULL when all is well or it is not a host of this cluster. */
static const struct host *stale_host(const struct facts *facts, const json_t *node)
{
    const struct host *host = facts_node(facts, name_of(node));
    bool stale = host != NULL && (provider_differs(node, host) || gone_instance(node, host) != NULL);
    return stale ? host : NULL;
}

static int list_nodes(struct run *run, json_t **nodes, struct error **err)
{
    _cleanup_json_ json_t *list = NULL;
    if (run_kube(run, err) < 0 || kube_get(run->kube, "/api/v1/nodes", run_deadline(run, 30), &list, NULL, err) < 0) {
        return -1;
    }
    *nodes = json_incref(json_object_get(list, "items"));
    return 0;
}

static int provider_ids_done(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *nodes = NULL;
    _cleanup_free_ char *pending = run_state_path(run, PENDING);
    if (access(pending, F_OK) == 0) {
        return 0;
    }
    if (list_nodes(run, &nodes, err) < 0) {
        return -1;
    }
    size_t i;
    json_t *node;
    json_array_foreach (nodes, i, node) {
        if (stale_host(run->facts, node) != NULL) {
            return 0;
        }
    }
    return 1;
}

/* What the API server itself fills in must not be given to it. The status goes along: a kubelet that finds its node
 * without one ends in a panic (kubelet 1.20, reconcileHugePageResource). */
static json_t *successor(const json_t *node, const struct host *host)
{
    const json_t *metadata = json_object_get(node, "metadata");
    json_t *spec = json_deep_copy(json_object_get(node, "spec"));
    json_t *status = json_deep_copy(json_object_get(node, "status"));
    json_t *annotations = json_deep_copy(json_object_get(metadata, "annotations"));
    _cleanup_free_ char *id = provider_id(host);
    json_object_set_new(spec, "providerID", json_string(id));
    (void)json_object_del(status, "volumesAttached");
    (void)json_object_del(status, "volumesInUse");
    annotations = annotations == NULL ? json_object() : annotations;
    json_object_set_new(annotations, INSTANCE_ANNOTATION, json_string(host->instance_id));
    return json_pack("{ss ss s{ss sO* so} so so*}", "apiVersion", "v1", "kind", "Node", "metadata", "name",
                     name_of(node), "labels", json_object_get(metadata, "labels"), "annotations", annotations, "spec",
                     spec, "status", status);
}

static int store_pending(const struct run *run, const json_t *node, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, PENDING);
    _cleanup_free_ char *text = json_dumps(node, JSON_COMPACT);
    return file_put_private(path, text, err);
}

/* Deletes the old object if it is still there and makes the stored one. */
static int finish_pending(struct run *run, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, PENDING);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    long code = 0;
    if (file_read(path, 0, &text, &len, NULL) < 0) {
        return 0;
    }
    _cleanup_json_ json_t *node = json_loadb(text, len, 0, NULL);
    if (name_of(node) == NULL) {
        return file_remove(path, NULL, err);
    }
    _cleanup_free_ char *object = xasprintf("/api/v1/nodes/%s", name_of(node));
    if (csinode_release(run, name_of(node), err) < 0 ||
        kube_delete(run->kube, object, run_deadline(run, 30), &code, err) < 0) {
        return -1;
    }
    if (kube_post(run->kube, "/api/v1/nodes", node, run_deadline(run, 30), &code, err) < 0 && code != 409) {
        return -1;
    }
    if (csinode_adopt(run, name_of(node), err) < 0) {
        return -1;
    }
    log_info("node %s now names %s", name_of(node), json_text_at(node, "spec", "providerID", NULL));
    return file_remove(path, NULL, err);
}

static int replace(struct run *run, const json_t *node, const struct host *host, struct error **err)
{
    _cleanup_json_ json_t *next = successor(node, host);
    return store_pending(run, next, err) < 0 ? -1 : finish_pending(run, err);
}

static int correct(struct run *run, const json_t *node, const struct host *host, struct error **err)
{
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", name_of(node));
    _cleanup_free_ char *status_path = xasprintf("%s/status", path);
    _cleanup_json_ json_t *status = json_pack("{s{sn sn}}", "status", "volumesAttached", "volumesInUse");
    _cleanup_json_ json_t *annotation =
        json_pack("{s{s{ss}}}", "metadata", "annotations", INSTANCE_ANNOTATION, host->instance_id);
    return kube_merge_patch(run->kube, status_path, status, run_deadline(run, 30), err) < 0
               ? -1
               : kube_merge_patch(run->kube, path, annotation, run_deadline(run, 30), err);
}

static int provider_ids_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *nodes = NULL;
    if (finish_pending(run, err) < 0 || list_nodes(run, &nodes, err) < 0) {
        return -1;
    }
    size_t i;
    json_t *node;
    json_array_foreach (nodes, i, node) {
        const struct host *host = stale_host(run->facts, node);
        const char *gone = host == NULL ? NULL : gone_instance(node, host);
        if (gone != NULL && gone_machine_forget(run, name_of(node), gone, err) < 0) {
            return -1;
        }
        if (host != NULL && (provider_differs(node, host) ? replace : correct)(run, node, host, err) < 0) {
            return -1;
        }
    }
    return 0;
}

const struct step step_set_provider_ids = {"set provider IDs", provider_ids_done, provider_ids_apply, NULL};
