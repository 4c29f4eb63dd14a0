/* Stands for csi-snapshotter v6.3: the driver takes and deletes what VolumeSnapshotContents describe; what it answers
 * is in their status. The contents are snapshot-controller's. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/protobuf.h"
#include "tests/lab/images/shared/sidecar.h"

#define API "/apis/snapshot.storage.k8s.io/v1"
#define CONTENTS API "/volumesnapshotcontents"
#define BEING_CREATED "snapshot.storage.kubernetes.io/volumesnapshot-being-created"
#define BEING_DELETED "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted"
#define PROTECTION "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"

static struct sidecar sidecar = {
    .lease = "external-snapshotter-leader-", .capability = CSI_SNAPSHOT, .capability_name = "ControllerCreateSnapshot"};
static const char *prefix;

static bool annotated(const json_t *content, const char *name)
{
    return json_object_get(json_at(content, "metadata annotations"), name) != NULL;
}

static bool annotate(const char *path, const char *name, json_t *value)
{
    _cleanup_json_ json_t *patch = json_pack("{s{s{so}}}", "metadata", "annotations", name, value);
    return cluster_patch(path, patch);
}

static void report_error(const json_t *content, const char *path, const char *message)
{
    _cleanup_free_ char *now = timestamp();
    cluster_tell(content, sidecar.driver, "Warning", "SnapshotCreationFailed", message);
    cluster_put_status(path, json_pack("{sb s{ss ss}}", "readyToUse", false, "error", "message", message, "time", now));
}

/* What the driver answers, in *TAKEN, which the caller frees; NULL, or why not. */
static char *call_driver(const json_t *content, const json_t *class, struct buffer *taken)
{
    _cleanup_buffer_ struct buffer request = {0};
    _cleanup_buffer_ struct buffer reply = {0};
    _cleanup_free_ char *name = xasprintf("%s-%s", prefix, text_at(content, "spec volumeSnapshotRef uid"));
    pb_text(&request, 1, text_at(content, "spec source volumeHandle"));
    pb_text(&request, 2, name);
    pb_map(&request, 4, json_object_get(class, "parameters"));
    char *why = sidecar_call(&sidecar, "/csi.v1.Controller/CreateSnapshot", &request, &reply);
    const struct buffer message = pb_find_message(&reply, 1);
    buffer_append(taken, message.data == NULL ? "" : message.data, message.len);
    return why;
}

/* Again until it is ready: the driver finds by its name what it has taken. */
static void take(const json_t *content, const char *path)
{
    const char *class_name = text_at(content, "spec volumeSnapshotClassName");
    _cleanup_free_ char *class_path = xasprintf(API "/volumesnapshotclasses/%s", class_name);
    _cleanup_json_ json_t *class = class_name[0] == '\0' ? NULL : cluster_get(class_path);
    _cleanup_buffer_ struct buffer taken = {0};
    if (class == NULL) {
        _cleanup_free_ char *message =
            xasprintf("Failed to create snapshot: failed to get input parameters to create snapshot for content %s: "
                      "volumesnapshotclass \"%s\" not found",
                      text_at(content, "metadata name"), class_name);
        report_error(content, path, message);
        return;
    }
    if (!annotated(content, BEING_CREATED) && !annotate(path, BEING_CREATED, json_string("yes"))) {
        return;
    }
    _cleanup_free_ char *why = call_driver(content, class, &taken);
    if (why != NULL) {
        _cleanup_free_ char *message =
            xasprintf("Failed to create snapshot: failed to take snapshot of the volume %s: %s",
                      text_at(content, "spec source volumeHandle"), why);
        (void)annotate(path, BEING_CREATED, json_null());
        report_error(content, path, message);
        return;
    }
    const struct buffer when = pb_find_message(&taken, 4);
    _cleanup_free_ char *handle = pb_find_text(&taken, 2);
    cluster_put_status(path, json_pack("{ss sb sI sI}", "snapshotHandle", handle, "readyToUse",
                                       pb_find_number(&taken, 5) != 0, "creationTime",
                                       (json_int_t)pb_find_number(&when, 1) * 1000000000, "restoreSize",
                                       (json_int_t)pb_find_number(&taken, 1)));
    (void)annotate(path, BEING_CREATED, json_null());
}

/* One that was there before: a driver that lists no snapshots cannot be asked, and it counts as ready. */
static void adopt(const json_t *content, const char *path)
{
    cluster_put_status(
        path, json_pack("{ss sb sI sI}", "snapshotHandle", text_at(content, "spec source snapshotHandle"), "readyToUse",
                        true, "creationTime", (json_int_t)time(NULL) * 1000000000, "restoreSize", (json_int_t)0));
}

static bool should_delete(const json_t *content)
{
    if (text_at(content, "spec source snapshotHandle")[0] != '\0' &&
        text_at(content, "spec volumeSnapshotRef uid")[0] == '\0') {
        return true;
    }
    return !annotated(content, BEING_CREATED) && annotated(content, BEING_DELETED);
}

static void drop_protection(const json_t *content, const char *path)
{
    json_t *left = json_array();
    size_t i;
    json_t *name;
    json_array_foreach (json_at(content, "metadata finalizers"), i, name) {
        if (strcmp(json_string_value(name), PROTECTION) != 0) {
            json_array_append(left, name);
        }
    }
    _cleanup_json_ json_t *patch = json_pack("{s{so}}", "metadata", "finalizers", left);
    (void)cluster_patch(path, patch);
}

static void delete (const json_t *content, const char *path)
{
    const char *handle = text_at(content, "status snapshotHandle");
    if (!should_delete(content)) {
        return;
    }
    if (strcmp(text_at(content, "spec deletionPolicy"), "Delete") == 0 && handle[0] != '\0') {
        _cleanup_buffer_ struct buffer request = {0};
        _cleanup_buffer_ struct buffer reply = {0};
        pb_text(&request, 1, handle);
        _cleanup_free_ char *why = sidecar_call(&sidecar, "/csi.v1.Controller/DeleteSnapshot", &request, &reply);
        if (why != NULL) {
            say("%s: %s", text_at(content, "metadata name"), why);
            cluster_tell(content, sidecar.driver, "Warning", "SnapshotDeleteError", "Failed to delete snapshot");
            return;
        }
        cluster_put_status(path, json_object());
    }
    drop_protection(content, path);
}

static void content_event(const char *what, const json_t *content, void *data)
{
    (void)data;
    if (content == NULL || strcmp(what, "DELETED") == 0 ||
        strcmp(text_at(content, "spec driver"), sidecar.driver) != 0) {
        return;
    }
    _cleanup_free_ char *path = xasprintf(CONTENTS "/%s", text_at(content, "metadata name"));
    _cleanup_json_ json_t *now = cluster_get(path); /* an earlier event may have been its own doing */
    if (now == NULL) {
        return;
    }
    if (text_at(now, "metadata deletionTimestamp")[0] != '\0') {
        delete (now, path);
    } else if (json_is_true(json_at(now, "status readyToUse"))) {
        return;
    } else if (text_at(now, "spec source volumeHandle")[0] != '\0') {
        take(now, path);
    } else {
        adopt(now, path);
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"csi-address", FLAG_TEXT, false, "/run/csi/socket"},
                           {"extra-create-metadata", FLAG_SWITCH, false, "false"},
                           {"kube-api-burst", FLAG_NUMBER, false, "10"},
                           {"leader-election", FLAG_SWITCH, false, "false"},
                           {"leader-election-namespace", FLAG_TEXT, false, ""},
                           {"node-deployment", FLAG_SWITCH, false, "false"},
                           {"resync-period", FLAG_SECONDS, false, "15m"},
                           {"retry-interval-max", FLAG_SECONDS, false, "5m"},
                           {"retry-interval-start", FLAG_SECONDS, false, "1s"},
                           {"snapshot-name-prefix", FLAG_TEXT, false, "snapshot"},
                           {"snapshot-name-uuid-length", FLAG_NUMBER, false, "-1"},
                           {"timeout", FLAG_SECONDS, false, "1m"},
                           {"worker-threads", FLAG_NUMBER, false, "10"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    sidecar_start(&sidecar, flags, argv);
    prefix = flag_text(flags, "snapshot-name-prefix");
    csi_follow(CONTENTS, content_event);
    for (;;) { /* whether it is ready is asked again, and what failed is tried again */
        (void)sleep(5);
        csi_lock();
        csi_each(CONTENTS, "snapshot.storage.k8s.io/v1", "VolumeSnapshotContent", content_event);
        csi_unlock();
    }
}
