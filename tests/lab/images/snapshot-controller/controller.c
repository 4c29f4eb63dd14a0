/* Stands for snapshot-controller v6.3: binds each VolumeSnapshot to its VolumeSnapshotContent, which the driver's
 * csi-snapshotter fills, and lets neither go before the other may. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/program.h"

#define GROUP "snapshot.storage.k8s.io"
#define API "/apis/" GROUP "/v1"
#define SNAPSHOTS API "/volumesnapshots"
#define CONTENTS API "/volumesnapshotcontents"
#define BEING_DELETED "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted"
#define CONTENT_BOUND "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"
#define SNAPSHOT_BOUND "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection"
#define AS_SOURCE "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection"

static bool has_finalizer(const json_t *object, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach (json_at(object, "metadata finalizers"), i, one) {
        if (strcmp(json_string_value(one), name) == 0) {
            return true;
        }
    }
    return false;
}

/* With every finalizer of OBJECT but DROPPED (may be NULL), and with ADDED (may be NULL). */
static void set_finalizers(const json_t *object, const char *path, const char *added, const char *dropped)
{
    json_t *list = json_array();
    size_t i;
    json_t *one;
    json_array_foreach (json_at(object, "metadata finalizers"), i, one) {
        if (dropped == NULL || strcmp(json_string_value(one), dropped) != 0) {
            json_array_append(list, one);
        }
    }
    if (added != NULL) {
        json_array_append_new(list, json_string(added));
    }
    _cleanup_json_ json_t *patch = json_pack("{s{so}}", "metadata", "finalizers", list);
    (void)cluster_patch(path, patch);
}

static char *snapshot_path(const json_t *snapshot)
{
    return xasprintf(API "/namespaces/%s/volumesnapshots/%s", text_at(snapshot, "metadata namespace"),
                     text_at(snapshot, "metadata name"));
}

static void refuse(const json_t *snapshot, const char *path, const char *reason, const char *message)
{
    _cleanup_free_ char *now = timestamp();
    if (strcmp(text_at(snapshot, "status error message"), message) == 0) {
        return;
    }
    cluster_tell(snapshot, "snapshot-controller", "Warning", reason, message);
    cluster_put_status(path, json_pack("{sb s{ss ss}}", "readyToUse", false, "error", "message", message, "time", now));
}

/* The content of a snapshot, by the name that is in its source or that is made of its uid; NULL when there is none. */
static json_t *content_of(const json_t *snapshot)
{
    const char *named = text_at(snapshot, "spec source volumeSnapshotContentName");
    _cleanup_free_ char *path = named[0] != '\0'
                                    ? xasprintf(CONTENTS "/%s", named)
                                    : xasprintf(CONTENTS "/snapcontent-%s", text_at(snapshot, "metadata uid"));
    return cluster_get(path);
}

static bool points_back(const json_t *content, const json_t *snapshot)
{
    return strcmp(text_at(content, "spec volumeSnapshotRef uid"), text_at(snapshot, "metadata uid")) == 0 &&
           strcmp(text_at(content, "spec volumeSnapshotRef name"), text_at(snapshot, "metadata name")) == 0 &&
           strcmp(text_at(content, "spec volumeSnapshotRef namespace"), text_at(snapshot, "metadata namespace")) == 0;
}

/* A claim that still waits for its volume, which begins with this snapshot. */
static bool being_restored(const json_t *snapshot)
{
    _cleanup_free_ char *path =
        xasprintf("/api/v1/namespaces/%s/persistentvolumeclaims", text_at(snapshot, "metadata namespace"));
    _cleanup_json_ json_t *claims = cluster_list(path);
    size_t i;
    json_t *claim;
    json_array_foreach (claims, i, claim) {
        if (strcmp(text_at(claim, "status phase"), "Pending") == 0 &&
            strcmp(text_at(claim, "spec dataSource kind"), "VolumeSnapshot") == 0 &&
            strcmp(text_at(claim, "spec dataSource name"), text_at(snapshot, "metadata name")) == 0) {
            return true;
        }
    }
    return false;
}

static void delete_snapshot(const json_t *snapshot, const char *path)
{
    _cleanup_json_ json_t *content = content_of(snapshot);
    bool ours = content != NULL && points_back(content, snapshot);
    bool cascades = ours && strcmp(text_at(content, "spec deletionPolicy"), "Delete") == 0;
    _cleanup_free_ char *content_path = xasprintf(CONTENTS "/%s", text_at(content, "metadata name"));
    if (ours && being_restored(snapshot)) {
        cluster_tell(snapshot, "snapshot-controller", "Warning", "SnapshotDeletePending",
                     "Snapshot is being used to restore a PVC");
        return;
    }
    if (ours && json_object_get(json_at(content, "metadata annotations"), BEING_DELETED) == NULL) {
        _cleanup_json_ json_t *patch = json_pack("{s{s{ss}}}", "metadata", "annotations", BEING_DELETED, "yes");
        (void)cluster_patch(content_path, patch);
    }
    if (cascades && text_at(content, "metadata deletionTimestamp")[0] == '\0') {
        (void)cluster_call("DELETE", content_path, NULL, NULL);
    }
    if (has_finalizer(snapshot, AS_SOURCE)) {
        set_finalizers(snapshot, path, NULL, AS_SOURCE);
    } else if (!cascades && has_finalizer(snapshot, SNAPSHOT_BOUND)) {
        set_finalizers(snapshot, path, NULL, SNAPSHOT_BOUND);
    }
}

/* The volume of the claim that a snapshot is of; NULL and *WHY when it has none. */
static json_t *volume_of(const json_t *snapshot, char **why)
{
    const char *name = text_at(snapshot, "spec source persistentVolumeClaimName");
    _cleanup_free_ char *path =
        xasprintf("/api/v1/namespaces/%s/persistentvolumeclaims/%s", text_at(snapshot, "metadata namespace"), name);
    _cleanup_json_ json_t *claim = cluster_get(path);
    _cleanup_free_ char *volume_path = xasprintf("/api/v1/persistentvolumes/%s", text_at(claim, "spec volumeName"));
    json_t *volume = strcmp(text_at(claim, "status phase"), "Bound") == 0 ? cluster_get(volume_path) : NULL;
    if (volume == NULL) {
        *why = claim == NULL
                   ? xasprintf("failed to retrieve PVC %s from the lister", name)
                   : xasprintf("the PVC %s is not yet bound to a PV, will not attempt to take a snapshot", name);
    }
    return volume;
}

/* Why there is no content after it, or NULL. */
static char *make_content(const json_t *snapshot)
{
    const char *class_name = text_at(snapshot, "spec volumeSnapshotClassName");
    _cleanup_free_ char *class_path = xasprintf(API "/volumesnapshotclasses/%s", class_name);
    _cleanup_json_ json_t *class = class_name[0] == '\0' ? NULL : cluster_get(class_path);
    char *why = NULL;
    if (class == NULL) {
        return xasprintf("failed to take snapshot %s without a snapshot class", text_at(snapshot, "metadata name"));
    }
    _cleanup_json_ json_t *volume = volume_of(snapshot, &why);
    if (volume == NULL) {
        return why;
    }
    if (strcmp(text_at(volume, "spec csi driver"), text_at(class, "driver")) != 0) {
        return xasprintf("the volume's driver is not the class's, %s", text_at(class, "driver"));
    }
    _cleanup_free_ char *name = xasprintf("snapcontent-%s", text_at(snapshot, "metadata uid"));
    _cleanup_json_ json_t *content = json_pack(
        "{ss ss s{ss s[s]} s{ss ss ss s{ss} s{ss ss ss ss ss ss}}}", "apiVersion", GROUP "/v1", "kind",
        "VolumeSnapshotContent", "metadata", "name", name, "finalizers", CONTENT_BOUND, "spec", "deletionPolicy",
        text_at(class, "deletionPolicy"), "driver", text_at(class, "driver"), "volumeSnapshotClassName", class_name,
        "source", "volumeHandle", text_at(volume, "spec csi volumeHandle"), "volumeSnapshotRef", "apiVersion",
        GROUP "/v1", "kind", "VolumeSnapshot", "namespace", text_at(snapshot, "metadata namespace"), "name",
        text_at(snapshot, "metadata name"), "uid", text_at(snapshot, "metadata uid"), "resourceVersion",
        text_at(snapshot, "metadata resourceVersion"));
    int status = cluster_call("POST", CONTENTS, content, NULL);
    return status == 201 || status == 409 ? NULL : xasprintf("cannot create content %s: status %d", name, status);
}

/* As resource.Quantity writes a number of bytes. The caller frees. */
static char *quantity(json_int_t bytes)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi", "Ti"};
    size_t i = 0;
    while (bytes > 0 && bytes % 1024 == 0 && i + 1 < ELEMENTS(units)) {
        bytes /= 1024;
        i++;
    }
    return xasprintf("%" JSON_INTEGER_FORMAT "%s", bytes, units[i]);
}

/* The snapshot's status is what its content's is. */
static void copy_status(const json_t *snapshot, const char *path, const json_t *content)
{
    const json_t *ready = json_at(content, "status readyToUse");
    json_t *status = json_pack("{ss}", "boundVolumeSnapshotContentName", text_at(content, "metadata name"));
    if (ready != NULL) {
        json_object_set_new(status, "readyToUse", json_boolean(json_is_true(ready)));
    }
    if (json_at(content, "status restoreSize") != NULL) {
        _cleanup_free_ char *size = quantity(json_integer_value(json_at(content, "status restoreSize")));
        json_object_set_new(status, "restoreSize", json_string(size));
    }
    if (json_at(content, "status creationTime") != NULL) {
        char text[32];
        time_t when = (time_t)(json_integer_value(json_at(content, "status creationTime")) / 1000000000);
        struct tm utc;
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &utc));
        json_object_set_new(status, "creationTime", json_string(text));
    }
    if (json_at(content, "status error") != NULL) {
        json_object_set(status, "error", json_at(content, "status error"));
    }
    if (json_equal(status, json_at(snapshot, "status"))) {
        json_decref(status);
        return;
    }
    cluster_put_status(path, status);
}

/* A content that was made by hand names its snapshot without a uid: it is bound now. */
static void bind(const json_t *snapshot, const char *path, const json_t *content)
{
    _cleanup_free_ char *content_path = xasprintf(CONTENTS "/%s", text_at(content, "metadata name"));
    if (text_at(content, "spec volumeSnapshotRef uid")[0] == '\0') {
        json_t *ref = json_deep_copy(json_at(content, "spec volumeSnapshotRef"));
        json_object_set(ref, "uid", json_at(snapshot, "metadata uid"));
        _cleanup_json_ json_t *patch = json_pack("{s{so}}", "spec", "volumeSnapshotRef", ref);
        (void)cluster_patch(content_path, patch);
        return;
    }
    if (!points_back(content, snapshot)) {
        _cleanup_free_ char *message =
            xasprintf("VolumeSnapshotContent [%s] is bound to a different snapshot", text_at(content, "metadata name"));
        refuse(snapshot, path, "SnapshotContentMisbound", message);
        return;
    }
    if (!has_finalizer(content, CONTENT_BOUND)) {
        set_finalizers(content, content_path, CONTENT_BOUND, NULL);
    }
    if (!has_finalizer(snapshot, SNAPSHOT_BOUND) && strcmp(text_at(content, "spec deletionPolicy"), "Delete") == 0) {
        set_finalizers(snapshot, path, SNAPSHOT_BOUND, NULL);
    }
    copy_status(snapshot, path, content);
}

static void snapshot_event(const char *what, const json_t *object, void *data)
{
    (void)data;
    if (object == NULL || strcmp(what, "DELETED") == 0) {
        return;
    }
    _cleanup_free_ char *path = snapshot_path(object);
    _cleanup_json_ json_t *snapshot = cluster_get(path); /* an earlier event may have been its own doing */
    if (snapshot == NULL) {
        return;
    }
    if (text_at(snapshot, "metadata deletionTimestamp")[0] != '\0') {
        delete_snapshot(snapshot, path);
        return;
    }
    if (!has_finalizer(snapshot, AS_SOURCE)) {
        set_finalizers(snapshot, path, AS_SOURCE, NULL);
        return; /* its own event follows */
    }
    _cleanup_json_ json_t *content = content_of(snapshot);
    if (content != NULL) {
        bind(snapshot, path, content);
    } else if (text_at(snapshot, "spec source volumeSnapshotContentName")[0] != '\0' ||
               json_is_true(json_at(snapshot, "status readyToUse"))) {
        refuse(snapshot, path, "SnapshotContentMissing", "VolumeSnapshotContent is missing");
    } else {
        _cleanup_free_ char *why = make_content(snapshot);
        _cleanup_free_ char *message =
            xasprintf("Failed to create snapshot content with error %s", why == NULL ? "" : why);
        if (why != NULL) {
            refuse(snapshot, path, "SnapshotContentCreationFailed", message);
        }
    }
}

/* What changed in a content is its snapshot's to follow. */
static void content_event(const char *what, const json_t *content, void *data)
{
    (void)what;
    if (content == NULL) {
        return;
    }
    _cleanup_json_ json_t *snapshot =
        json_pack("{s{ss ss}}", "metadata", "namespace", text_at(content, "spec volumeSnapshotRef namespace"), "name",
                  text_at(content, "spec volumeSnapshotRef name"));
    snapshot_event("MODIFIED", snapshot, data);
}

/* It waits some seconds for the definitions of its objects, and ends without them. */
static void check_definitions(void)
{
    static const char *const lists[] = {SNAPSHOTS, API "/volumesnapshotclasses", CONTENTS};
    for (size_t i = 0; i < ELEMENTS(lists); i++) {
        int status = 0;
        for (int second = 0; second < 5 && status != 200; second++) {
            status = cluster_call("GET", lists[i], NULL, NULL);
            (void)(status == 200 || sleep(1));
        }
        if (status != 200) {
            fail("Exiting due to failure to ensure CRDs exist during startup: %s: status %d", lists[i], status);
        }
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"enable-distributed-snapshotting", FLAG_SWITCH, false, "false"},
                           {"http-endpoint", FLAG_TEXT, false, ""},
                           {"leader-election", FLAG_SWITCH, false, "false"},
                           {"leader-election-namespace", FLAG_TEXT, false, ""},
                           {"prevent-volume-mode-conversion", FLAG_SWITCH, false, "false"},
                           {"resync-period", FLAG_SECONDS, false, "15m"},
                           {"retry-crd-interval-max", FLAG_SECONDS, false, "5s"},
                           {"retry-interval-max", FLAG_SECONDS, false, "5m"},
                           {"retry-interval-start", FLAG_SECONDS, false, "1s"},
                           {"worker-threads", FLAG_NUMBER, false, "10"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    char host[256] = "";
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    cluster_open();
    check_definitions();
    (void)gethostname(host, sizeof host - 1);
    if (flag_on(flags, "leader-election")) {
        const char *namespace = flag_text(flags, "leader-election-namespace");
        cluster_lead(namespace[0] == '\0' ? "kube-system" : namespace, "snapshot-controller-leader", host);
    }
    csi_follow(CONTENTS, content_event);
    csi_follow(SNAPSHOTS, snapshot_event);
    for (;;) { /* what failed is tried again */
        (void)sleep(5);
        csi_lock();
        csi_each(SNAPSHOTS, GROUP "/v1", "VolumeSnapshot", snapshot_event);
        csi_unlock();
    }
}
