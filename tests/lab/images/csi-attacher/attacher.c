/* Stands for csi-attacher v4.4: VolumeAttachments of the driver are attached and detached through it; what it answers
 * is in their status. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/protobuf.h"
#include "tests/lab/images/shared/sidecar.h"

#define API "/apis/storage.k8s.io/v1/volumeattachments"
#define NODE_ANNOTATION "csi.alpha.kubernetes.io/node-id"

static struct sidecar sidecar = {.lease = "external-attacher-leader-",
                                 .capability = CSI_PUBLISH_UNPUBLISH,
                                 .capability_name = "ControllerPublishVolume"};
static char *finalizer;

/* The node as the driver calls it, which the kubelet wrote into the node's CSINode; where the driver is not registered
 * at this moment, as it was when OBJECT was attached. NULL where neither is known. */
static char *driver_node(const json_t *object)
{
    _cleanup_free_ char *path = xasprintf("/apis/storage.k8s.io/v1/csinodes/%s", text_at(object, "spec nodeName"));
    _cleanup_json_ json_t *csinode = cluster_get(path);
    const json_t *entry = csi_node_driver(csinode, sidecar.driver);
    const char *then = text_at(object, "metadata annotations " NODE_ANNOTATION);
    return entry != NULL ? xstrdup(text_at(entry, "nodeID")) : then[0] != '\0' ? xstrdup(then) : NULL;
}

static json_t *volume_of(const json_t *attachment)
{
    _cleanup_free_ char *path =
        xasprintf("/api/v1/persistentvolumes/%s", text_at(attachment, "spec source persistentVolumeName"));
    return cluster_get(path);
}

static char *call_driver(const char *method, const json_t *volume, const char *node)
{
    _cleanup_buffer_ struct buffer request = {0};
    _cleanup_buffer_ struct buffer reply = {0};
    pb_text(&request, 1, text_at(volume, "spec csi volumeHandle"));
    pb_text(&request, 2, node);
    if (strstr(method, "Unpublish") == NULL) {
        csi_put_capability(&request, 3, text_at(volume, "spec csi fsType"));
        pb_map(&request, 6, json_at(volume, "spec csi volumeAttributes"));
    }
    return sidecar_call(&sidecar, method, &request, &reply);
}

/* In its own object and in the volume's, so that neither goes while it is attached. */
static void report(const char *path, bool attached, const char *member, const char *error)
{
    _cleanup_json_ json_t *patch = json_pack("{s{s[s]}}", "metadata", "finalizers", finalizer);
    _cleanup_json_ json_t *status = json_pack("{s{sb}}", "status", "attached", attached);
    _cleanup_free_ char *now = timestamp();
    now[19] = 'Z';
    now[20] = '\0';
    json_object_set_new(json_object_get(status, "status"), member,
                        error == NULL ? json_null() : json_pack("{ss ss}", "message", error, "time", now));
    _cleanup_free_ char *sub = xasprintf("%s/status", path);
    (void)(cluster_patch(path, patch) && cluster_patch(sub, status));
}

static void hold_volume(const json_t *volume, bool hold)
{
    const json_t *there = json_at(volume, "metadata finalizers");
    json_t *left = json_array();
    size_t i;
    json_t *name;
    json_array_foreach ((json_t *)there, i, name) {
        if (strcmp(json_string_value(name), finalizer) != 0) {
            json_array_append(left, name);
        }
    }
    if (hold) {
        json_array_append_new(left, json_string(finalizer));
    }
    _cleanup_json_ json_t *patch = json_pack("{s{so}}", "metadata", "finalizers", left);
    _cleanup_free_ char *path = xasprintf("/api/v1/persistentvolumes/%s", text_at(volume, "metadata name"));
    if (volume != NULL && json_array_size(left) != json_array_size(there)) {
        (void)cluster_patch(path, patch);
    }
}

static void detach(const json_t *object, const char *path, const json_t *volume, const char *node)
{
    if (json_array_size(json_at(object, "metadata finalizers")) == 0) {
        return;
    }
    _cleanup_free_ char *error = volume == NULL ? NULL
                                 : node == NULL
                                     ? xasprintf("node %s has no NodeID annotation", text_at(object, "spec nodeName"))
                                     : call_driver("/csi.v1.Controller/ControllerUnpublishVolume", volume, node);
    if (error != NULL) {
        report(path, true, "detachError", error);
        return;
    }
    hold_volume(volume, false);
    _cleanup_json_ json_t *patch = json_pack("{s{sn}}", "metadata", "finalizers");
    (void)cluster_patch(path, patch);
    say("%s: detached", text_at(object, "metadata name"));
}

static void attach(const json_t *object, const char *path, const json_t *volume, const char *node)
{
    _cleanup_free_ char *error = NULL;
    if (volume == NULL || node == NULL) {
        error = xasprintf("volume %s or CSINode %s does not contain driver %s",
                          text_at(object, "spec source persistentVolumeName"), text_at(object, "spec nodeName"),
                          sidecar.driver);
    } else {
        _cleanup_json_ json_t *patch = json_pack("{s{s{ss}}}", "metadata", "annotations", NODE_ANNOTATION, node);
        (void)cluster_patch(path, patch);
        hold_volume(volume, true);
        error = call_driver("/csi.v1.Controller/ControllerPublishVolume", volume, node);
    }
    report(path, error == NULL, "attachError", error);
    say("%s: %s", text_at(object, "metadata name"), error == NULL ? "attached" : error);
}

static void attachment_event(const char *what, const json_t *object, void *data)
{
    (void)data;
    if (object == NULL || strcmp(what, "DELETED") == 0 ||
        strcmp(text_at(object, "spec attacher"), sidecar.driver) != 0) {
        return;
    }
    _cleanup_free_ char *path = xasprintf(API "/%s", text_at(object, "metadata name"));
    _cleanup_json_ json_t *now = cluster_get(path); /* an earlier event may have been its own doing */
    _cleanup_json_ json_t *volume = volume_of(object);
    _cleanup_free_ char *node = driver_node(now);
    if (now == NULL) {
        return;
    }
    if (text_at(now, "metadata deletionTimestamp")[0] != '\0') {
        detach(now, path, volume, node);
    } else if (!json_is_true(json_at(now, "status attached"))) {
        attach(now, path, volume, node);
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"csi-address", FLAG_TEXT, false, "/run/csi/socket"},
                           {"leader-election", FLAG_SWITCH, false, "false"},
                           {"leader-election-namespace", FLAG_TEXT, false, ""},
                           {"retry-interval-start", FLAG_SECONDS, false, "1s"},
                           {"retry-interval-max", FLAG_SECONDS, false, "5m"},
                           {"resync", FLAG_SECONDS, false, "10m"},
                           {"timeout", FLAG_SECONDS, false, "15s"},
                           {"worker-threads", FLAG_NUMBER, false, "10"},
                           {"default-fstype", FLAG_TEXT, false, ""},
                           {"max-entries", FLAG_NUMBER, false, "0"},
                           {"reconcile-sync", FLAG_SECONDS, false, "1m"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    sidecar_start(&sidecar, flags, argv);
    _cleanup_free_ char *name = csi_lease("-", sidecar.driver);
    finalizer = xasprintf("external-attacher/%s", name + 1);
    csi_follow(API, attachment_event);
    for (;;) { /* what failed is tried again */
        (void)sleep(5);
        csi_lock();
        csi_each(API, "storage.k8s.io/v1", "VolumeAttachment", attachment_event);
        csi_unlock();
    }
}
