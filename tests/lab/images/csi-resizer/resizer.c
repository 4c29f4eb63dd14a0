/* Stands for csi-resizer: a claim that wants more than its volume has gets it from the driver; the file system follows
 * on the node. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/grpc.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/protobuf.h"

static const char *csi_socket;
static char *driver;

static bool expand(const char *handle, uint64_t bytes)
{
    _cleanup_buffer_ struct buffer range = {0};
    _cleanup_buffer_ struct buffer request = {0};
    _cleanup_buffer_ struct buffer reply = {0};
    pb_number(&range, 1, bytes);
    pb_text(&request, 1, handle);
    pb_message(&request, 2, &range);
    return grpc_call(csi_socket, "/csi.v1.Controller/ControllerExpandVolume", &request, &reply) == GRPC_OK;
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
    if (strcmp(text_at(volume, "spec csi driver"), driver) != 0 ||
        quantity_bytes(wanted) <= quantity_bytes(text_at(volume, "spec capacity storage")) ||
        !expand(text_at(volume, "spec csi volumeHandle"), quantity_bytes(wanted))) {
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
                           {"leader-election-namespace", FLAG_TEXT, false, "kube-system"},
                           {"csiTimeout", FLAG_SECONDS, false, "15s"},
                           {"timeout", FLAG_SECONDS, false, "10s"},
                           {"workers", FLAG_NUMBER, false, "10"},
                           {"handle-volume-inuse-error", FLAG_SWITCH, false, "true"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    char host[256] = "";
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    cluster_open();
    csi_socket = flag_text(flags, "csi-address");
    driver = csi_connect(csi_socket);
    if (!csi_controller_can(csi_socket, CSI_EXPAND)) {
        fail("CSI driver %s supports neither controller nor node expansion", driver);
    }
    (void)gethostname(host, sizeof host - 1);
    if (flag_on(flags, "leader-election")) {
        _cleanup_free_ char *lease = csi_lease("external-resizer-", driver);
        cluster_lead(flag_text(flags, "leader-election-namespace"), lease, host);
    }
    cluster_watch("/api/v1/persistentvolumeclaims", claim_event, NULL);
}
