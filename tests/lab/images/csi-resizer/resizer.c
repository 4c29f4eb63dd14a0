/* Stands for csi-resizer v1.9: a claim that wants more than its volume has gets it from the driver, which refuses while
 * the volume is in use; the file system follows on the node. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/protobuf.h"
#include "tests/lab/images/shared/sidecar.h"

#define CLAIMS "/api/v1/persistentvolumeclaims"

static struct sidecar sidecar = {
    .lease = "external-resizer-", .capability = CSI_EXPAND, .capability_name = "controller or node expansion"};

static char *expand(const char *handle, uint64_t bytes)
{
    _cleanup_buffer_ struct buffer range = {0};
    _cleanup_buffer_ struct buffer request = {0};
    _cleanup_buffer_ struct buffer reply = {0};
    pb_number(&range, 1, bytes);
    pb_text(&request, 1, handle);
    pb_message(&request, 2, &range);
    return sidecar_call(&sidecar, "/csi.v1.Controller/ControllerExpandVolume", &request, &reply);
}

static void claim_event(const char *what, const json_t *claim, void *data)
{
    const char *wanted = text_at(claim, "spec resources requests storage");
    (void)data;
    if (claim == NULL || strcmp(what, "DELETED") == 0 || strcmp(text_at(claim, "status phase"), "Bound") != 0 ||
        quantity_bytes(wanted) <= quantity_bytes(text_at(claim, "status capacity storage"))) {
        return;
    }
    _cleanup_free_ char *path = xasprintf("/api/v1/persistentvolumes/%s", text_at(claim, "spec volumeName"));
    _cleanup_json_ json_t *volume = cluster_get(path);
    if (strcmp(text_at(volume, "spec csi driver"), sidecar.driver) != 0 ||
        quantity_bytes(wanted) <= quantity_bytes(text_at(volume, "spec capacity storage"))) {
        return;
    }
    _cleanup_free_ char *error = expand(text_at(volume, "spec csi volumeHandle"), quantity_bytes(wanted));
    if (error != NULL) {
        _cleanup_free_ char *message =
            xasprintf("resize volume %s failed: %s", text_at(claim, "spec volumeName"), error);
        cluster_tell(claim, "external-resizer disk.csi.qingcloud.com", "Warning", "VolumeResizeFailed", message);
        return;
    }
    _cleanup_json_ json_t *grown = json_pack("{s{s{ss}}}", "spec", "capacity", "storage", wanted);
    _cleanup_free_ char *status = xasprintf("/api/v1/namespaces/%s/persistentvolumeclaims/%s/status",
                                            text_at(claim, "metadata namespace"), text_at(claim, "metadata name"));
    _cleanup_json_ json_t *pending =
        json_pack("{s{s[{ss ss}]}}", "status", "conditions", "type", "FileSystemResizePending", "status", "True");
    (void)(cluster_patch(path, grown) && cluster_patch(status, pending));
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"csi-address", FLAG_TEXT, false, "/run/csi/socket"},
                           {"leader-election", FLAG_SWITCH, false, "false"},
                           {"leader-election-namespace", FLAG_TEXT, false, ""},
                           {"timeout", FLAG_SECONDS, false, "10s"},
                           {"retry-interval-max", FLAG_SECONDS, false, "5m"},
                           {"retry-interval-start", FLAG_SECONDS, false, "1s"},
                           {"workers", FLAG_NUMBER, false, "10"},
                           {"handle-volume-inuse-error", FLAG_SWITCH, false, "true"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    sidecar_start(&sidecar, flags, argv);
    csi_follow(CLAIMS, claim_event);
    for (;;) { /* what failed is tried again */
        (void)sleep(5);
        csi_lock();
        csi_each(CLAIMS, "v1", "PersistentVolumeClaim", claim_event);
        csi_unlock();
    }
}
