/* Stands for csi-provisioner v3.6: volumes for the claims of the driver's storage classes, made and deleted through it.
 */
#include "tests/lab/images/csi-provisioner/provisioner.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/protobuf.h"
#include "tests/lab/images/shared/sidecar.h"

#define CLAIMS "/api/v1/persistentvolumeclaims"
#define VOLUMES "/api/v1/persistentvolumes"
#define SNAPSHOTS "/apis/snapshot.storage.k8s.io/v1"

static struct sidecar sidecar = {
    .lease = "", .capability = CSI_CREATE_DELETE_VOLUME, .capability_name = "dynamic provisioning"};
static const char *prefix;
static const char *default_fs_type;
static bool strict_topology;
static bool immediate_topology;

static const char *fs_type_of(const json_t *class)
{
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(class, "parameters"), key, value) {
        if (strcasecmp(key, "fstype") == 0 || strcmp(key, "csi.storage.k8s.io/fstype") == 0) {
            return json_string_value(value);
        }
    }
    return default_fs_type;
}

/* The handle of the volume of the claim that CLAIM's content comes from; the caller frees. NULL and *WHY when it has
 * none. */
static char *source_volume(const char *namespace, const char *name, char **why)
{
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/persistentvolumeclaims/%s", namespace, name);
    _cleanup_json_ json_t *source = cluster_get(path);
    if (strcmp(text_at(source, "status phase"), "Bound") != 0) {
        *why = xasprintf("the PVC %s in the same namespace is not bound", name);
        return NULL;
    }
    _cleanup_free_ char *volume_path = xasprintf(VOLUMES "/%s", text_at(source, "spec volumeName"));
    _cleanup_json_ json_t *volume = cluster_get(volume_path);
    return xstrdup(text_at(volume, "spec csi volumeHandle"));
}

/* Why the snapshot, bound to CONTENT, is not to be restored to CLAIM; NULL when it is. */
static char *check_snapshot(const json_t *claim, const json_t *class, const json_t *snapshot, const json_t *content)
{
    const char *name = text_at(claim, "spec dataSource name");
    if (text_at(snapshot, "metadata deletionTimestamp")[0] != '\0') {
        return xasprintf("snapshot %s is currently being deleted", name);
    }
    if (content == NULL ||
        strcmp(text_at(content, "spec volumeSnapshotRef uid"), text_at(snapshot, "metadata uid")) != 0 ||
        strcmp(text_at(content, "spec driver"), text_at(class, "provisioner")) != 0) {
        return xasprintf("snapshot %s not bound", name);
    }
    if (!json_is_true(json_at(snapshot, "status readyToUse"))) {
        return xasprintf("snapshot %s is not Ready", name);
    }
    if (text_at(content, "status snapshotHandle")[0] == '\0') {
        return xasprintf("snapshot handle %s is not available", name);
    }
    uint64_t wanted = quantity_bytes(text_at(claim, "spec resources requests storage"));
    uint64_t size = quantity_bytes(text_at(snapshot, "status restoreSize"));
    return wanted >= size
               ? NULL
               : xasprintf("requested volume size %llu is less than the size %llu for the source snapshot %s",
                           (unsigned long long)wanted, (unsigned long long)size, name);
}

/* The same for a snapshot. */
static char *source_snapshot(const json_t *claim, const json_t *class, char **why)
{
    const char *name = text_at(claim, "spec dataSource name");
    _cleanup_free_ char *path =
        xasprintf(SNAPSHOTS "/namespaces/%s/volumesnapshots/%s", text_at(claim, "metadata namespace"), name);
    _cleanup_json_ json_t *snapshot = cluster_get(path);
    const char *bound = text_at(snapshot, "status boundVolumeSnapshotContentName");
    _cleanup_free_ char *content_path = xasprintf(SNAPSHOTS "/volumesnapshotcontents/%s", bound);
    _cleanup_json_ json_t *content = bound[0] == '\0' ? NULL : cluster_get(content_path);
    *why = snapshot == NULL ? xasprintf("error getting snapshot %s from api server: not found", name)
                            : check_snapshot(claim, class, snapshot, content);
    return *why == NULL ? xstrdup(text_at(content, "status snapshotHandle")) : NULL;
}

/* A claim of another claim's or a snapshot's content. False and *WHY when that is not there yet. */
static bool put_source(struct buffer *request, const json_t *claim, const json_t *class, char **why)
{
    const char *kind = text_at(claim, "spec dataSource kind");
    const char *group = text_at(claim, "spec dataSource apiGroup");
    _cleanup_buffer_ struct buffer inner = {0};
    _cleanup_buffer_ struct buffer source = {0};
    if (kind[0] == '\0') {
        return true;
    }
    bool of_snapshot = strcmp(kind, "VolumeSnapshot") == 0;
    if (of_snapshot && strcmp(group, "snapshot.storage.k8s.io") != 0) {
        *why = xasprintf(
            "the PVC source does not belong to the right APIGroup. Expected snapshot.storage.k8s.io, Got %s", group);
        return false;
    }
    _cleanup_free_ char *handle =
        of_snapshot ? source_snapshot(claim, class, why)
                    : source_volume(text_at(claim, "metadata namespace"), text_at(claim, "spec dataSource name"), why);
    if (handle == NULL) {
        char *reason = STEAL(*why);
        *why = xasprintf("error getting handle for DataSource Type %s by Name %s: %s", kind,
                         text_at(claim, "spec dataSource name"), reason);
        free(reason);
        return false;
    }
    pb_text(&inner, 1, handle);
    pb_message(&source, of_snapshot ? 1 : 2, &inner);
    pb_message(request, 6, &source);
    return true;
}

/* The driver's volume, in *VOLUME, which the caller frees; NULL, or why there is none. */
static char *create_volume(const json_t *claim, const json_t *class, const char *name, const char *node,
                           struct buffer *volume)
{
    _cleanup_buffer_ struct buffer request = {0};
    _cleanup_buffer_ struct buffer range = {0};
    _cleanup_buffer_ struct buffer reply = {0};
    char *why = NULL;
    const struct topology_wish wish = {.driver = sidecar.driver,
                                       .claim = text_at(claim, "metadata name"),
                                       .node = node,
                                       .allowed = json_object_get(class, "allowedTopologies"),
                                       .strict = strict_topology,
                                       .immediate = immediate_topology};
    pb_text(&request, 1, name);
    pb_number(&range, 1, quantity_bytes(text_at(claim, "spec resources requests storage")));
    pb_message(&request, 2, &range);
    csi_put_capability(&request, 3, fs_type_of(class));
    pb_map(&request, 4, json_object_get(class, "parameters"));
    if (!put_source(&request, claim, class, &why) || !topology_put(&request, 7, &wish, &why)) {
        return why;
    }
    why = sidecar_call(&sidecar, "/csi.v1.Controller/CreateVolume", &request, &reply);
    const struct buffer made = pb_find_message(&reply, 1);
    buffer_append(volume, made.data == NULL ? "" : made.data, made.len);
    return why;
}

static json_t *volume_object(const json_t *claim, const json_t *class, const char *name, const struct buffer *volume)
{
    const char *policy = text_at(class, "reclaimPolicy");
    _cleanup_free_ char *handle = pb_find_text(volume, 2);
    _cleanup_free_ char *size = xasprintf("%lluGi", (unsigned long long)(pb_find_number(volume, 1) >> 30));
    json_t *context = pb_find_map(volume, 3);
    json_object_set_new(context, "storage.kubernetes.io/csiProvisionerIdentity", json_string(sidecar.driver));
    json_t *object = json_pack(
        "{ss ss s{ss s{ss}} s{s{ss} sO ss ss ss s{ss ss ss so} s{ss ss ss ss ss}}}", "apiVersion", "v1", "kind",
        "PersistentVolume", "metadata", "name", name, "annotations", "pv.kubernetes.io/provisioned-by", sidecar.driver,
        "spec", "capacity", "storage", size, "accessModes", json_at(claim, "spec accessModes"),
        "persistentVolumeReclaimPolicy", policy[0] == '\0' ? "Delete" : policy, "storageClassName",
        text_at(class, "metadata name"), "volumeMode", "Filesystem", "csi", "driver", sidecar.driver, "volumeHandle",
        handle, "fsType", fs_type_of(class), "volumeAttributes", context, "claimRef", "apiVersion", "v1", "kind",
        "PersistentVolumeClaim", "namespace", text_at(claim, "metadata namespace"), "name",
        text_at(claim, "metadata name"), "uid", text_at(claim, "metadata uid"));
    json_t *affinity = topology_affinity(volume);
    if (affinity != NULL) {
        json_object_set_new(json_object_get(object, "spec"), "nodeAffinity", affinity);
    }
    return object;
}

static void provision(const json_t *claim, const json_t *class)
{
    _cleanup_free_ char *name = xasprintf("%s-%s", prefix, text_at(claim, "metadata uid"));
    const json_t *notes = json_at(claim, "metadata annotations");
    const char *node = text_at(notes, "volume.kubernetes.io/selected-node");
    _cleanup_buffer_ struct buffer volume = {0};
    if (strcmp(text_at(class, "volumeBindingMode"), "WaitForFirstConsumer") == 0 && node[0] == '\0') {
        return;
    }
    _cleanup_free_ char *why = create_volume(claim, class, name, node, &volume);
    if (why != NULL) {
        _cleanup_free_ char *message =
            xasprintf("failed to provision volume with StorageClass \"%s\": %s", text_at(class, "metadata name"), why);
        cluster_tell(claim, sidecar.driver, "Warning", "ProvisioningFailed", message);
        return;
    }
    _cleanup_json_ json_t *object = volume_object(claim, class, name, &volume);
    int status = cluster_call("POST", VOLUMES, object, NULL);
    say("claim %s/%s: volume %s: status %d", text_at(claim, "metadata namespace"), text_at(claim, "metadata name"),
        name, status);
    if (status == 201) {
        _cleanup_free_ char *message = xasprintf("Successfully provisioned volume %s", name);
        cluster_tell(claim, sidecar.driver, "Normal", "ProvisioningSucceeded", message);
    }
}

static void claim_event(const char *what, const json_t *claim, void *data)
{
    (void)data;
    const json_t *notes = json_at(claim, "metadata annotations");
    const char *of = text_at(notes, "volume.kubernetes.io/storage-provisioner"); /* from 1.23 on */
    of = of[0] != '\0' ? of : text_at(notes, "volume.beta.kubernetes.io/storage-provisioner");
    if (claim == NULL || strcmp(what, "DELETED") == 0 || text_at(claim, "spec volumeName")[0] != '\0' ||
        strcmp(of, sidecar.driver) != 0) {
        return;
    }
    _cleanup_free_ char *claim_path = xasprintf("/api/v1/namespaces/%s/persistentvolumeclaims/%s",
                                                text_at(claim, "metadata namespace"), text_at(claim, "metadata name"));
    /* the annotation goes first, as in Kubernetes (GetPersistentVolumeClaimClass) */
    const char *named = text_at(notes, "volume.beta.kubernetes.io/storage-class");
    _cleanup_free_ char *path = xasprintf("/apis/storage.k8s.io/v1/storageclasses/%s",
                                          named[0] != '\0' ? named : text_at(claim, "spec storageClassName"));
    _cleanup_json_ json_t *now = cluster_get(claim_path); /* it may have its volume by now */
    _cleanup_json_ json_t *class = cluster_get(path);
    if (class != NULL && now != NULL && text_at(now, "spec volumeName")[0] == '\0' &&
        text_at(now, "metadata deletionTimestamp")[0] == '\0') {
        provision(now, class);
    }
}

static void volume_event(const char *what, const json_t *volume, void *data)
{
    (void)data;
    if (volume == NULL || strcmp(what, "DELETED") == 0 ||
        strcmp(text_at(volume, "spec csi driver"), sidecar.driver) != 0 ||
        strcmp(text_at(volume, "status phase"), "Released") != 0 ||
        text_at(volume, "metadata deletionTimestamp")[0] != '\0' ||
        strcmp(text_at(volume, "spec persistentVolumeReclaimPolicy"), "Delete") != 0) {
        return;
    }
    _cleanup_buffer_ struct buffer request = {0};
    _cleanup_buffer_ struct buffer reply = {0};
    _cleanup_free_ char *path = xasprintf(VOLUMES "/%s", text_at(volume, "metadata name"));
    pb_text(&request, 1, text_at(volume, "spec csi volumeHandle"));
    _cleanup_free_ char *why = sidecar_call(&sidecar, "/csi.v1.Controller/DeleteVolume", &request, &reply);
    if (why == NULL) {
        (void)cluster_call("DELETE", path, NULL, NULL);
    } else {
        cluster_tell(volume, sidecar.driver, "Warning", "VolumeFailedDelete", why);
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"csi-address", FLAG_TEXT, false, "/run/csi/socket"},
                           {"leader-election", FLAG_SWITCH, false, "false"},
                           {"leader-election-namespace", FLAG_TEXT, false, ""},
                           {"feature-gates", FLAG_TEXT, false, ""},
                           {"retry-interval-max", FLAG_SECONDS, false, "5m"},
                           {"retry-interval-start", FLAG_SECONDS, false, "1s"},
                           {"timeout", FLAG_SECONDS, false, "10s"},
                           {"worker-threads", FLAG_NUMBER, false, "100"},
                           {"volume-name-prefix", FLAG_TEXT, false, "pvc"},
                           {"volume-name-uuid-length", FLAG_NUMBER, false, "-1"},
                           {"default-fstype", FLAG_TEXT, false, ""},
                           {"extra-create-metadata", FLAG_SWITCH, false, "false"},
                           {"strict-topology", FLAG_SWITCH, false, "false"},
                           {"immediate-topology", FLAG_SWITCH, false, "true"},
                           {"prevent-volume-mode-conversion", FLAG_SWITCH, false, "false"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    sidecar_start(&sidecar, flags, argv);
    prefix = flag_text(flags, "volume-name-prefix");
    default_fs_type = flag_text(flags, "default-fstype");
    strict_topology = flag_on(flags, "strict-topology");
    immediate_topology = flag_on(flags, "immediate-topology");
    csi_follow(CLAIMS, claim_event);
    csi_follow(VOLUMES, volume_event);
    for (;;) { /* what failed is tried again */
        (void)sleep(5);
        csi_lock();
        csi_each(CLAIMS, "v1", "PersistentVolumeClaim", claim_event);
        csi_each(VOLUMES, "v1", "PersistentVolume", volume_event);
        csi_unlock();
    }
}
