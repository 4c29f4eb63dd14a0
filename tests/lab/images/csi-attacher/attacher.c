/* Stands for csi-attacher: VolumeAttachments of the driver are attached and detached through it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/grpc.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/protobuf.h"

#define API "/apis/storage.k8s.io/v1beta1/volumeattachments"

static const char *csi_socket;
static char *driver, *finalizer;

/* The node as the driver calls it, which the kubelet wrote into the node's CSINode. */
static char *driver_node(const char *node)
{
    _cleanup_free_ char *path = xasprintf("/apis/storage.k8s.io/v1/csinodes/%s", node);
    _cleanup_json_ json_t *object = cluster_get(path);
    size_t i;
    json_t *entry;
    json_array_foreach (json_at(object, "spec drivers"), i, entry) {
        if (strcmp(text_at(entry, "name"), driver) == 0) {
            return xstrdup(text_at(entry, "nodeID"));
        }
    }
    return NULL;
}

static char *volume_handle(const char *volume)
{
    _cleanup_free_ char *path = xasprintf("/api/v1/persistentvolumes/%s", volume);
    _cleanup_json_ json_t *object = cluster_get(path);
    const char *handle = text_at(object, "spec csi volumeHandle");
    return handle[0] == '\0' ? NULL : xstrdup(handle);
}

static bool call_driver(const char *method, const char *volume, const char *node)
{
    _cleanup_buffer_ struct buffer request = {0};
    _cleanup_buffer_ struct buffer reply = {0};
    pb_text(&request, 1, volume);
    pb_text(&request, 2, node);
    return grpc_call(csi_socket, method, &request, &reply) == GRPC_OK;
}

static void report(const char *path, bool attached, const char *error)
{
    _cleanup_json_ json_t *patch =
        json_pack("{s{s[s]} s{sb}}", "metadata", "finalizers", finalizer, "status", "attached", attached);
    if (error != NULL) {
        _cleanup_free_ char *now = timestamp();
        now[19] = 'Z';
        now[20] = '\0';
        json_object_set_new(json_object_get(patch, "status"), "attachError",
                            json_pack("{ss ss}", "message", error, "time", now));
    }
    (void)cluster_patch(path, patch);
}

static void attachment_event(const char *what, const json_t *object, void *data)
{
    (void)data;
    if (object == NULL || strcmp(what, "DELETED") == 0 || strcmp(text_at(object, "spec attacher"), driver) != 0) {
        return;
    }
    const char *name = text_at(object, "metadata name");
    const char *volume = text_at(object, "spec source persistentVolumeName");
    _cleanup_free_ char *path = xasprintf(API "/%s", name);
    _cleanup_free_ char *handle = volume_handle(volume);
    _cleanup_free_ char *node = driver_node(text_at(object, "spec nodeName"));
    bool leaving = text_at(object, "metadata deletionTimestamp")[0] != '\0';
    if (leaving) {
        if (json_array_size(json_at(object, "metadata finalizers")) > 0 &&
            (handle == NULL || node == NULL ||
             call_driver("/csi.v1.Controller/ControllerUnpublishVolume", handle, node))) {
            _cleanup_json_ json_t *patch = json_pack("{s{sn}}", "metadata", "finalizers");
            (void)cluster_patch(path, patch);
        }
        return;
    }
    if (json_is_true(json_at(object, "status attached"))) {
        return;
    }
    if (handle == NULL || node == NULL) {
        _cleanup_free_ char *error = xasprintf("volume %s or CSINode %s has not the driver %s", volume,
                                               text_at(object, "spec nodeName"), driver);
        say("%s: %s", name, error);
        return;
    }
    bool done = call_driver("/csi.v1.Controller/ControllerPublishVolume", handle, node);
    say("%s: volume %s to node %s: %s", name, handle, node, done ? "attached" : "failed");
    report(path, done, done ? NULL : "the driver refused");
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"csi-address", FLAG_TEXT, false, "/run/csi/socket"},
                           {"leader-election", FLAG_SWITCH, false, "false"},
                           {"leader-election-namespace", FLAG_TEXT, false, "kube-system"},
                           {"retry-interval-start", FLAG_SECONDS, false, "1s"},
                           {"retry-interval-max", FLAG_SECONDS, false, "5m"},
                           {"resync", FLAG_SECONDS, false, "10m"},
                           {"timeout", FLAG_SECONDS, false, "15s"},
                           {"worker-threads", FLAG_NUMBER, false, "10"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    char host[256] = "";
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    cluster_open();
    csi_socket = flag_text(flags, "csi-address");
    driver = csi_connect(csi_socket);
    _cleanup_free_ char *name = csi_lease("-", driver);
    finalizer = xasprintf("external-attacher/%s", name + 1);
    if (!csi_controller_can(csi_socket, CSI_PUBLISH_UNPUBLISH)) {
        fail("CSI driver %s does not support ControllerPublishVolume", driver);
    }
    (void)gethostname(host, sizeof host - 1);
    if (flag_on(flags, "leader-election")) {
        _cleanup_free_ char *lease = csi_lease("external-attacher-leader-", driver);
        cluster_lead(flag_text(flags, "leader-election-namespace"), lease, host);
    }
    cluster_watch(API, attachment_event, NULL);
}
