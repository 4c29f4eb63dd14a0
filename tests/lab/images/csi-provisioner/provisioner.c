/* Stands for csi-provisioner: volumes for the claims of the driver's storage classes, made and deleted through it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/grpc.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/protobuf.h"

static const char *csi_socket, *prefix;
static char *driver;

/* A mount of the file system that the class names, read and written by one node. */
static void put_capability(struct buffer *request, const char *fs_type)
{
    _cleanup_buffer_ struct buffer mount = {0};
    _cleanup_buffer_ struct buffer mode = {0};
    _cleanup_buffer_ struct buffer capability = {0};
    pb_text(&mount, 1, fs_type);
    pb_number(&mode, 1, 1);
    pb_message(&capability, 2, &mount);
    pb_message(&capability, 3, &mode);
    pb_message(request, 3, &capability);
}

static const char *fs_type_of(const json_t *class)
{
    const json_t *parameters = json_object_get(class, "parameters");
    const char *named = text_at(parameters, "csi.storage.k8s.io/fstype");
    const char *own = text_at(parameters, "fsType");
    return named[0] != '\0' ? named : own[0] != '\0' ? own : "ext4";
}

static char *create_volume(const json_t *class, const char *name, uint64_t bytes, json_t **context)
{
    _cleanup_buffer_ struct buffer request = {0};
    _cleanup_buffer_ struct buffer range = {0};
    _cleanup_buffer_ struct buffer reply = {0};
    pb_text(&request, 1, name);
    pb_number(&range, 1, bytes);
    pb_message(&request, 2, &range);
    put_capability(&request, fs_type_of(class));
    pb_map(&request, 4, json_object_get(class, "parameters"));
    if (grpc_call(csi_socket, "/csi.v1.Controller/CreateVolume", &request, &reply) != GRPC_OK) {
        return NULL;
    }
    const struct buffer volume = pb_find_message(&reply, 1);
    *context = json_pack("{ss}", "storage.kubernetes.io/csiProvisionerIdentity", driver);
    return pb_find_text(&volume, 2);
}

static json_t *volume_object(const json_t *claim, const json_t *class, const char *name, const char *handle,
                             json_t *context)
{
    const char *policy = text_at(class, "reclaimPolicy");
    json_t *volume = json_pack(
        "{ss ss s{ss s{ss}} s{s{ss} sO ss ss ss s{ss ss ss so} s{ss ss ss ss ss}}}", "apiVersion", "v1", "kind",
        "PersistentVolume", "metadata", "name", name, "annotations", "pv.kubernetes.io/provisioned-by", driver, "spec",
        "capacity", "storage", text_at(claim, "spec resources requests storage"), "accessModes",
        json_at(claim, "spec accessModes"), "persistentVolumeReclaimPolicy", policy[0] == '\0' ? "Delete" : policy,
        "storageClassName", text_at(class, "metadata name"), "volumeMode", "Filesystem", "csi", "driver", driver,
        "volumeHandle", handle, "fsType", fs_type_of(class), "volumeAttributes", context, "claimRef", "apiVersion",
        "v1", "kind", "PersistentVolumeClaim", "namespace", text_at(claim, "metadata namespace"), "name",
        text_at(claim, "metadata name"), "uid", text_at(claim, "metadata uid"));
    return volume;
}

/* With topology the node that the scheduler chose must have the driver. */
static bool node_has_driver(const char *node)
{
    _cleanup_free_ char *path = xasprintf("/apis/storage.k8s.io/v1/csinodes/%s", node);
    _cleanup_json_ json_t *object = cluster_get(path);
    size_t i;
    json_t *entry;
    json_array_foreach (json_at(object, "spec drivers"), i, entry) {
        if (strcmp(text_at(entry, "name"), driver) == 0) {
            return true;
        }
    }
    return false;
}

static void provision(const json_t *claim, const json_t *class)
{
    _cleanup_free_ char *name = xasprintf("%s-%s", prefix, text_at(claim, "metadata uid"));
    const json_t *notes = json_at(claim, "metadata annotations");
    const char *node = text_at(notes, "volume.kubernetes.io/selected-node");
    bool waits = strcmp(text_at(class, "volumeBindingMode"), "WaitForFirstConsumer") == 0;
    json_t *context = NULL;
    if (waits && node[0] == '\0') {
        return;
    }
    if (node[0] != '\0' && !node_has_driver(node)) {
        say("node %s has no driver %s yet", node, driver);
        cluster_tell(claim, driver, "Warning", "ProvisioningFailed", "no topology key found on CSINode");
        return;
    }
    _cleanup_free_ char *handle =
        create_volume(class, name, quantity_bytes(text_at(claim, "spec resources requests storage")), &context);
    if (handle == NULL) {
        cluster_tell(claim, driver, "Warning", "ProvisioningFailed", "the driver refused");
        return;
    }
    _cleanup_json_ json_t *volume = volume_object(claim, class, name, handle, context);
    int status = cluster_call("POST", "/api/v1/persistentvolumes", volume, NULL);
    say("claim %s/%s: volume %s (%s): status %d", text_at(claim, "metadata namespace"), text_at(claim, "metadata name"),
        name, handle, status);
    if (status == 201) {
        cluster_tell(claim, driver, "Normal", "ProvisioningSucceeded", name);
    }
}

static void claim_event(const char *what, const json_t *claim, void *data)
{
    const json_t *notes = json_at(claim, "metadata annotations");
    (void)data;
    if (claim == NULL || strcmp(what, "DELETED") == 0 || text_at(claim, "spec volumeName")[0] != '\0' ||
        strcmp(text_at(notes, "volume.beta.kubernetes.io/storage-provisioner"), driver) != 0) {
        return;
    }
    _cleanup_free_ char *path =
        xasprintf("/apis/storage.k8s.io/v1/storageclasses/%s", text_at(claim, "spec storageClassName"));
    _cleanup_json_ json_t *class = cluster_get(path);
    if (class != NULL) {
        provision(claim, class);
    }
}

/* The claims that wait for something the watch does not tell of: the driver on their node. */
static void retry_all(void)
{
    _cleanup_json_ json_t *claims = cluster_list("/api/v1/persistentvolumeclaims");
    size_t i;
    json_t *claim;
    json_array_foreach (claims, i, claim) {
        json_object_set_new(claim, "kind", json_string("PersistentVolumeClaim")); /* a list's items have none */
        claim_event("MODIFIED", claim, NULL);
    }
}

static void volume_event(const char *what, const json_t *volume, void *data)
{
    (void)data;
    if (volume == NULL || strcmp(what, "DELETED") == 0 || strcmp(text_at(volume, "spec csi driver"), driver) != 0 ||
        strcmp(text_at(volume, "status phase"), "Released") != 0 ||
        strcmp(text_at(volume, "spec persistentVolumeReclaimPolicy"), "Delete") != 0) {
        return;
    }
    _cleanup_buffer_ struct buffer request = {0};
    _cleanup_buffer_ struct buffer reply = {0};
    _cleanup_free_ char *path = xasprintf("/api/v1/persistentvolumes/%s", text_at(volume, "metadata name"));
    pb_text(&request, 1, text_at(volume, "spec csi volumeHandle"));
    if (grpc_call(csi_socket, "/csi.v1.Controller/DeleteVolume", &request, &reply) == GRPC_OK) {
        (void)cluster_call("DELETE", path, NULL, NULL);
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"csi-address", FLAG_TEXT, false, "/run/csi/socket"},
                           {"enable-leader-election", FLAG_SWITCH, false, "false"},
                           {"leader-election", FLAG_SWITCH, false, "false"},
                           {"leader-election-type", FLAG_TEXT, false, "endpoints"},
                           {"leader-election-namespace", FLAG_TEXT, false, "kube-system"},
                           {"feature-gates", FLAG_TEXT, false, ""},
                           {"retry-interval-max", FLAG_SECONDS, false, "5m"},
                           {"retry-interval-start", FLAG_SECONDS, false, "1s"},
                           {"timeout", FLAG_SECONDS, false, "10s"},
                           {"worker-threads", FLAG_NUMBER, false, "100"},
                           {"volume-name-prefix", FLAG_TEXT, false, "pvc"},
                           {"volume-name-uuid-length", FLAG_NUMBER, false, "0"},
                           {"default-fstype", FLAG_TEXT, false, ""},
                           {"extra-create-metadata", FLAG_SWITCH, false, "false"},
                           {"strict-topology", FLAG_SWITCH, false, "false"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    char host[256] = "";
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    cluster_open();
    csi_socket = flag_text(flags, "csi-address");
    prefix = flag_text(flags, "volume-name-prefix");
    driver = csi_connect(csi_socket);
    if (!csi_controller_can(csi_socket, CSI_CREATE_DELETE_VOLUME)) {
        fail("CSI driver %s does not support dynamic provisioning", driver);
    }
    (void)gethostname(host, sizeof host - 1);
    if (flag_on(flags, "enable-leader-election") || flag_on(flags, "leader-election")) {
        _cleanup_free_ char *lease = csi_lease("", driver);
        cluster_lead(flag_text(flags, "leader-election-namespace"), lease, host);
    }
    cluster_follow("/api/v1/persistentvolumeclaims", claim_event, NULL);
    cluster_follow("/api/v1/persistentvolumes", volume_event, NULL);
    for (;;) {
        (void)sleep(5);
        retry_all();
    }
}
