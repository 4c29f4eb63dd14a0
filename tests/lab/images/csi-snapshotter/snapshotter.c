/* Stands for csi-snapshotter v1.2: its definitions (v1alpha1), snapshots of claims taken and deleted through the
 * driver. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/protobuf.h"
#include "tests/lab/images/shared/sidecar.h"

#define GROUP "/apis/snapshot.storage.k8s.io/v1alpha1"
#define DEFINITIONS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

static struct sidecar sidecar = {
    .lease = "external-snapshotter-leader-", .capability = CSI_SNAPSHOT, .capability_name = "ControllerCreateSnapshot"};
static const char *prefix;

/* v1 makes its own definitions when they are not there. */
static void make_definition(const char *plural, const char *kind, const char *scope)
{
    _cleanup_free_ char *name = xasprintf("%s.snapshot.storage.k8s.io", plural);
    _cleanup_free_ char *path = xasprintf(DEFINITIONS "/%s", name);
    _cleanup_json_ json_t *there = cluster_get(path);
    if (there != NULL) {
        return;
    }
    _cleanup_json_ json_t *definition = json_pack(
        "{ss ss s{ss} s{ss ss s{ss ss} s[{ss sb sb s{s{ss sb}}}]}}", "apiVersion", "apiextensions.k8s.io/v1", "kind",
        "CustomResourceDefinition", "metadata", "name", name, "spec", "group", "snapshot.storage.k8s.io", "scope",
        scope, "names", "plural", plural, "kind", kind, "versions", "name", "v1alpha1", "served", 1, "storage", 1,
        "schema", "openAPIV3Schema", "type", "object", "x-kubernetes-preserve-unknown-fields", 1);
    json_t *metadata = json_object_get(definition, "metadata");
    json_object_set_new(metadata, "annotations",
                        json_pack("{ss}", "api-approved.kubernetes.io", "unapproved, experimental-only"));
    int status = cluster_call("POST", DEFINITIONS, definition, NULL);
    if (status != 201 && status != 409) {
        fail("cannot define %s: status %d", name, status);
    }
}

/* The snapshot's class, which names the driver as its snapshotter; NULL when it is another's or none. */
static json_t *class_of(const json_t *snapshot)
{
    _cleanup_free_ char *path =
        xasprintf(GROUP "/volumesnapshotclasses/%s", text_at(snapshot, "spec snapshotClassName"));
    json_t *class = text_at(snapshot, "spec snapshotClassName")[0] == '\0' ? NULL : cluster_get(path);
    if (class != NULL && strcmp(text_at(class, "snapshotter"), sidecar.driver) != 0) {
        json_decref(class);
        return NULL;
    }
    return class;
}

/* The volume of the claim that a snapshot is of; NULL when it is not bound yet. */
static json_t *volume_of(const json_t *snapshot)
{
    _cleanup_free_ char *claim_path =
        xasprintf("/api/v1/namespaces/%s/persistentvolumeclaims/%s", text_at(snapshot, "metadata namespace"),
                  text_at(snapshot, "spec source name"));
    _cleanup_json_ json_t *claim = cluster_get(claim_path);
    _cleanup_free_ char *path = xasprintf("/api/v1/persistentvolumes/%s", text_at(claim, "spec volumeName"));
    return text_at(claim, "spec volumeName")[0] == '\0' ? NULL : cluster_get(path);
}

/* What the driver answers, in *TAKEN, which the caller frees; NULL, or why not. */
static char *take(const json_t *snapshot, const json_t *class, const json_t *volume, struct buffer *taken)
{
    _cleanup_buffer_ struct buffer request = {0};
    _cleanup_buffer_ struct buffer reply = {0};
    _cleanup_free_ char *name = xasprintf("%s-%s", prefix, text_at(snapshot, "metadata uid"));
    pb_text(&request, 1, text_at(volume, "spec csi volumeHandle"));
    pb_text(&request, 2, name);
    pb_map(&request, 4, json_object_get(class, "parameters"));
    char *why = sidecar_call(&sidecar, "/csi.v1.Controller/CreateSnapshot", &request, &reply);
    const struct buffer message = pb_find_message(&reply, 1);
    buffer_append(taken, message.data == NULL ? "" : message.data, message.len);
    return why;
}

static void make_content(const json_t *snapshot, const json_t *class, const json_t *volume, const char *name,
                         const struct buffer *taken)
{
    _cleanup_free_ char *handle = pb_find_text(taken, 2);
    const char *policy = text_at(class, "deletionPolicy");
    _cleanup_json_ json_t *content = json_pack(
        "{ss ss s{ss} s{ss ss s{ss ss sI} s{ss ss ss ss} s{ss ss ss}}}", "apiVersion",
        "snapshot.storage.k8s.io/v1alpha1", "kind", "VolumeSnapshotContent", "metadata", "name", name, "spec",
        "deletionPolicy", policy[0] == '\0' ? "Delete" : policy, "snapshotClassName", text_at(class, "metadata name"),
        "csiVolumeSnapshotSource", "driver", sidecar.driver, "snapshotHandle", handle, "restoreSize",
        (json_int_t)pb_find_number(taken, 1), "volumeSnapshotRef", "kind", "VolumeSnapshot", "namespace",
        text_at(snapshot, "metadata namespace"), "name", text_at(snapshot, "metadata name"), "uid",
        text_at(snapshot, "metadata uid"), "persistentVolumeRef", "kind", "PersistentVolume", "name",
        text_at(volume, "metadata name"), "uid", text_at(volume, "metadata uid"));
    (void)cluster_call("POST", GROUP "/volumesnapshotcontents", content, NULL);
}

static void snapshot_event(const char *what, const json_t *snapshot, void *data)
{
    (void)data;
    if (snapshot == NULL || strcmp(what, "DELETED") == 0 || json_is_true(json_at(snapshot, "status readyToUse"))) {
        return;
    }
    _cleanup_json_ json_t *class = class_of(snapshot);
    _cleanup_json_ json_t *volume = class == NULL ? NULL : volume_of(snapshot);
    _cleanup_buffer_ struct buffer taken = {0};
    if (volume == NULL) {
        return;
    }
    _cleanup_free_ char *why = take(snapshot, class, volume, &taken);
    if (why != NULL) {
        _cleanup_free_ char *message = xasprintf("Failed to create snapshot: %s", why);
        cluster_tell(snapshot, sidecar.driver, "Warning", "SnapshotCreationFailed", message);
        return;
    }
    _cleanup_free_ char *name = xasprintf("snapcontent-%s", text_at(snapshot, "metadata uid"));
    _cleanup_free_ char *path = xasprintf(GROUP "/namespaces/%s/volumesnapshots/%s",
                                          text_at(snapshot, "metadata namespace"), text_at(snapshot, "metadata name"));
    if (text_at(snapshot, "spec snapshotContentName")[0] == '\0') {
        make_content(snapshot, class, volume, name, &taken);
    }
    _cleanup_free_ char *size = xasprintf("%" PRIu64 "Gi", pb_find_number(&taken, 1) >> 30);
    json_t *now = cluster_get(path); /* the release lets it update, not patch */
    json_object_set_new(json_object_get(now, "spec"), "snapshotContentName", json_string(name));
    json_object_set_new(now, "status",
                        json_pack("{sb ss}", "readyToUse", pb_find_number(&taken, 5) != 0, "restoreSize", size));
    (void)cluster_call("PUT", path, now, NULL);
    json_decref(now);
}

/* The content of a snapshot that is gone. */
static void content_event(const char *what, const json_t *content, void *data)
{
    (void)data;
    if (content == NULL || strcmp(what, "DELETED") == 0 ||
        strcmp(text_at(content, "spec csiVolumeSnapshotSource driver"), sidecar.driver) != 0 ||
        strcmp(text_at(content, "spec deletionPolicy"), "Delete") != 0) {
        return;
    }
    _cleanup_free_ char *of =
        xasprintf(GROUP "/namespaces/%s/volumesnapshots/%s", text_at(content, "spec volumeSnapshotRef namespace"),
                  text_at(content, "spec volumeSnapshotRef name"));
    _cleanup_json_ json_t *snapshot = NULL;
    int status = cluster_call("GET", of, NULL, &snapshot);
    if (status == 404 || (status == 200 && strcmp(text_at(snapshot, "metadata uid"),
                                                  text_at(content, "spec volumeSnapshotRef uid")) != 0)) {
        _cleanup_buffer_ struct buffer request = {0};
        _cleanup_buffer_ struct buffer reply = {0};
        pb_text(&request, 1, text_at(content, "spec csiVolumeSnapshotSource snapshotHandle"));
        _cleanup_free_ char *why = sidecar_call(&sidecar, "/csi.v1.Controller/DeleteSnapshot", &request, &reply);
        _cleanup_free_ char *path = xasprintf(GROUP "/volumesnapshotcontents/%s", text_at(content, "metadata name"));
        (void)(why == NULL && cluster_call("DELETE", path, NULL, NULL));
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"csi-address", FLAG_TEXT, false, "/run/csi/socket"},
                           {"connection-timeout", FLAG_SECONDS, false, "1m"},
                           {"leader-election", FLAG_SWITCH, false, "false"},
                           {"leader-election-namespace", FLAG_TEXT, false, ""},
                           {"snapshot-name-prefix", FLAG_TEXT, false, "snapshot"},
                           {"snapshot-name-uuid-length", FLAG_NUMBER, false, "-1"},
                           {"timeout", FLAG_SECONDS, false, "1m"},
                           {"resync-period", FLAG_SECONDS, false, "60s"},
                           {"snapshotter", FLAG_TEXT, false, ""},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    sidecar_start(&sidecar, flags, argv);
    prefix = flag_text(flags, "snapshot-name-prefix");
    make_definition("volumesnapshotclasses", "VolumeSnapshotClass", "Cluster");
    make_definition("volumesnapshotcontents", "VolumeSnapshotContent", "Cluster");
    make_definition("volumesnapshots", "VolumeSnapshot", "Namespaced");
    csi_follow(GROUP "/volumesnapshots", snapshot_event);
    for (;;) { /* whether it is ready is asked again, and what is no longer wanted goes */
        (void)sleep(5);
        csi_lock();
        csi_each(GROUP "/volumesnapshots", "snapshot.storage.k8s.io/v1alpha1", "VolumeSnapshot", snapshot_event);
        csi_each(GROUP "/volumesnapshotcontents", "snapshot.storage.k8s.io/v1alpha1", "VolumeSnapshotContent",
                 content_event);
        csi_unlock();
    }
}
