#include "hooks/steps/cluster/gone_machine.h"

#include <string.h>

#include "hooks/clients/volume_attachments.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

#define PROVIDER "qingcloud://"

const char *gone_instance(const json_t *node, const struct host *host)
{
    const char *provider = json_text_at(node, "spec", "providerID", NULL);
    const char *annotated = json_text_at(node, "metadata", "annotations", INSTANCE_ANNOTATION, NULL);
    if (!str_empty(annotated) && strcmp(annotated, host->instance_id) != 0) {
        return annotated;
    }
    bool other = provider != NULL && str_starts(provider, PROVIDER) &&
                 strcmp(provider + strlen(PROVIDER), host->instance_id) != 0;
    return other ? provider + strlen(PROVIDER) : NULL;
}

/* *csinode is NULL where there is none. */
static int get_csinode(struct run *run, const char *name, json_t **csinode, struct error **err)
{
    _cleanup_free_ char *path = xasprintf("/apis/storage.k8s.io/v1/csinodes/%s", name);
    _cleanup_error_ struct error *why = NULL;
    long code = 0;
    *csinode = NULL;
    if (run_kube(run, err) < 0) {
        return -1;
    }
    return kube_get(run->kube, path, run_deadline(run, 30), csinode, &code, &why) == 0 || code == 404
               ? 0
               : error_move(err, &why);
}

static int patch_csinode(struct run *run, const char *name, json_t *patch, struct error **err)
{
    _cleanup_json_ json_t *owned = patch;
    _cleanup_free_ char *path = xasprintf("/apis/storage.k8s.io/v1/csinodes/%s", name);
    return kube_merge_patch(run->kube, path, owned, run_deadline(run, 30), err);
}

static int forget_drivers(struct run *run, const char *name, const char *gone, struct error **err)
{
    _cleanup_json_ json_t *csinode = NULL;
    if (get_csinode(run, name, &csinode, err) < 0) {
        return -1;
    }
    const json_t *drivers = json_object_get(json_object_get(csinode, "spec"), "drivers");
    json_t *kept = json_array();
    size_t i;
    json_t *driver;
    json_array_foreach (drivers, i, driver) {
        if (strcmp(json_text_or(driver, "nodeID", ""), gone) != 0) {
            json_array_append(kept, driver);
        }
    }
    if (json_array_size(kept) == json_array_size(drivers)) {
        json_decref(kept);
        return 0;
    }
    log_info("%s: CSI drivers that registered as %s have to register again", name, gone);
    return patch_csinode(run, name, json_pack("{s{so}}", "spec", "drivers", kept), err);
}

int gone_machine_forget(struct run *run, const char *name, const char *gone, struct error **err)
{
    /* The drivers first: what is attached again must not go to the former instance. */
    return forget_drivers(run, name, gone, err) < 0 ? -1 : volume_attachments_delete(run, name, true, err);
}

int csinode_release(struct run *run, const char *name, struct error **err)
{
    _cleanup_json_ json_t *csinode = NULL;
    if (get_csinode(run, name, &csinode, err) < 0) {
        return -1;
    }
    return csinode == NULL ? 0 : patch_csinode(run, name, json_pack("{s{sn}}", "metadata", "ownerReferences"), err);
}

int csinode_adopt(struct run *run, const char *name, struct error **err)
{
    _cleanup_json_ json_t *csinode = NULL;
    _cleanup_json_ json_t *node = NULL;
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", name);
    if (get_csinode(run, name, &csinode, err) < 0) {
        return -1;
    }
    if (csinode == NULL) {
        return 0;
    }
    if (kube_get(run->kube, path, run_deadline(run, 30), &node, NULL, err) < 0) {
        return -1;
    }
    return patch_csinode(run, name,
                         json_pack("{s{s[{ss ss ss ss}]}}", "metadata", "ownerReferences", "apiVersion", "v1", "kind",
                                   "Node", "name", name, "uid", json_text_at(node, "metadata", "uid", NULL)),
                         err);
}
