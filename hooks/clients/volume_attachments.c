#include "hooks/clients/volume_attachments.h"

#include <string.h>

#include "hooks/engine/run.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

#define ATTACHMENTS "/apis/storage.k8s.io/v1/volumeattachments"

static int delete_one(struct run *run, const json_t *attachment, bool machine_gone, struct error **err)
{
    const char *name = json_text(json_object_get(attachment, "metadata"), "name");
    _cleanup_free_ char *path = xasprintf(ATTACHMENTS "/%s", name);
    long code = 0;
    if (kube_delete(run->kube, path, run_deadline(run, 30), &code, err) < 0) {
        return -1;
    }
    if (!machine_gone || code == 404) {
        return 0;
    }
    /* Without finalizers it is gone with the request above, and then there is nothing to patch. */
    _cleanup_error_ struct error *why = NULL;
    _cleanup_json_ json_t *still = NULL;
    _cleanup_json_ json_t *patch = json_pack("{s{sn}}", "metadata", "finalizers");
    if (kube_get(run->kube, path, run_deadline(run, 30), &still, &code, &why) < 0) {
        return code == 404 ? 0 : error_move(err, &why);
    }
    return kube_merge_patch(run->kube, path, patch, run_deadline(run, 30), err);
}

int volume_attachments_delete(struct run *run, const char *node, bool machine_gone, struct error **err)
{
    _cleanup_json_ json_t *list = NULL;
    size_t i;
    json_t *attachment;
    if (run_kube(run, err) < 0 || kube_get(run->kube, ATTACHMENTS, run_deadline(run, 30), &list, NULL, err) < 0) {
        return -1;
    }
    json_array_foreach (json_object_get(list, "items"), i, attachment) {
        const char *on = NULL;
        const char *volume = NULL;
        (void)json_unpack(attachment, "{s{ss s{s?s}}}", "spec", "nodeName", &on, "source", "persistentVolumeName",
                          &volume);
        if (on == NULL || strcmp(on, node) != 0) {
            continue;
        }
        if (delete_one(run, attachment, machine_gone, err) < 0) {
            return -1;
        }
        log_info("%s: attachment of volume %s deleted", node, volume == NULL ? "(inline)" : volume);
    }
    return 0;
}
