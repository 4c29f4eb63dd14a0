/* The controller's calls: volumes made, attached, detached, grown and deleted in the cloud. */
#include <string.h>

#include "tests/lab/images/csi-qingcloud/driver.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/grpc.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/protobuf.h"
#include "tests/lab/images/shared/qingcloud.h"

#define PENDING "An operation with the given resource %s already exists"

enum { SINGLE_NODE_WRITER = 1, DEVICE_TRIES = 20 };

static void unlock(char **id)
{
    if (*id != NULL) {
        resource_unlock(*id);
    }
    free(*id);
}
#define _cleanup_unlock_ _cleanup_(unlock)

static uint64_t size_of(const json_t *volume)
{
    return (uint64_t)json_integer_value(json_object_get(volume, "size")) * GIB;
}

static void put_volume(struct buffer *reply, const json_t *volume, const struct buffer *request)
{
    _cleanup_buffer_ struct buffer message = {0};
    _cleanup_json_ json_t *parameters = pb_find_map(request, 4);
    pb_number(&message, 1, size_of(volume));
    pb_text(&message, 2, text_at(volume, "volume_id"));
    pb_map(&message, 3, parameters);
    put_topologies(&message, 5, volume);
    pb_message(reply, 1, &message);
}

/* The zone of the first topology that the request prefers, else of the first it requires; the cloud's own without. The
 * caller frees; NULL with *WHY for one that the driver does not know. */
static char *pick_zone(const struct buffer *request, char **why)
{
    const struct buffer requirement = pb_find_message(request, 7);
    struct buffer topology = pb_find_message(&requirement, 2);
    topology = topology.len == 0 ? pb_find_message(&requirement, 1) : topology;
    _cleanup_json_ json_t *segments = pb_find_map(&topology, 1);
    _cleanup_free_ char *zone_key = xasprintf("topology.%s/zone", driver.name);
    _cleanup_free_ char *class_key = xasprintf("topology.%s/instance-type", driver.name);
    char *zone = NULL;
    const char *key;
    json_t *value;
    json_object_foreach (segments, key, value) {
        if (strcmp(key, zone_key) == 0) {
            zone = xstrdup(json_string_value(value));
        } else if (strcmp(key, class_key) != 0) {
            *why = xasprintf("invalid topology key %s", key);
        } else if (!instance_class_known(json_string_value(value))) {
            *why = xasprintf("unsuport instance type %s", json_string_value(value));
        }
    }
    if (*why != NULL) {
        free(zone);
        return NULL;
    }
    return zone != NULL ? zone : xstrdup(requirement.len == 0 ? qingcloud_zone() : "");
}

struct wanted {
    struct storage_class class;
    char *name, *zone;
    uint64_t bytes;
};

static void wanted_clear(struct wanted *wanted)
{
    storage_class_clear(&wanted->class);
    free(wanted->name);
    free(wanted->zone);
}

/* The call that makes the volume, whatever it is made of; its id, which the caller frees, or NULL with *STATUS and
 * *WHY. */
static char *make(const struct buffer *request, const struct wanted *wanted, int *status, char **why)
{
    const struct buffer source = pb_find_message(request, 6);
    const struct buffer of_snapshot = pb_find_message(&source, 1);
    const struct buffer of_volume = pb_find_message(&source, 2);
    _cleanup_free_ char *snapshot_id = pb_find_text(&of_snapshot, 1);
    _cleanup_free_ char *volume_id = pb_find_text(&of_volume, 1);
    _cleanup_json_ json_t *answer = NULL;
    *status = GRPC_INTERNAL;
    if (snapshot_id[0] != '\0') {
        _cleanup_json_ json_t *snapshot = cloud_snapshot(snapshot_id, why);
        const uint64_t bytes = (uint64_t)json_integer_value(json_at(snapshot, "snapshot_resource size")) * GIB;
        const struct buffer range = pb_find_message(request, 2);
        if (snapshot == NULL) {
            *status = *why == NULL
                          ? refuse(why, GRPC_NOT_FOUND, "cannot find content source snapshot id [%s]", snapshot_id)
                          : GRPC_INTERNAL;
            return NULL;
        }
        if (bytes < pb_find_number(&range, 1)) {
            *status = refuse(why, GRPC_OUT_OF_RANGE, "unsupported capacity range");
            return NULL;
        }
        answer = cloud_job_again(
            "CreateVolumeFromSnapshot",
            json_pack("{ss ss ss}", "volume_name", wanted->name, "snapshot", snapshot_id, "zone", wanted->zone),
            TRY_LATER, why);
        return answer == NULL ? NULL : xstrdup(text_at(answer, "volume_id"));
    }
    if (volume_id[0] != '\0') {
        _cleanup_json_ json_t *volume = cloud_volume(volume_id, why);
        if (volume == NULL) {
            *status = *why == NULL ? refuse(why, GRPC_NOT_FOUND, "cannot find content source volume id [%s]", volume_id)
                                   : GRPC_INTERNAL;
            return NULL;
        }
        answer = cloud_job("CloneVolumes",
                           json_pack("{si ss ss sO ss}", "count", 1, "volume", volume_id, "volume_name", wanted->name,
                                     "volume_type", json_object_get(volume, "volume_type"), "zone", wanted->zone),
                           why);
    } else {
        answer = cloud_job("CreateVolumes",
                           json_pack("{si ss si ss si ss}", "count", 1, "repl",
                                     wanted->class.replica == 1 ? "rpp-00000001" : "rpp-00000002", "size",
                                     (int)(wanted->bytes / GIB), "volume_name", wanted->name, "volume_type",
                                     wanted->class.type, "zone", wanted->zone),
                           why);
    }
    return answer == NULL ? NULL : xstrdup(json_string_value(json_array_get(json_object_get(answer, "volumes"), 0)));
}

/* A volume of that name is taken when it fits, and is an error when it does not. */
static int reuse(const struct buffer *request, const struct wanted *wanted, const json_t *volume, struct buffer *reply,
                 char **why)
{
    const struct buffer range = pb_find_message(request, 2);
    uint64_t limit = pb_find_number(&range, 2);
    uint64_t size = size_of(volume);
    if (json_integer_value(json_object_get(volume, "volume_type")) != wanted->class.type ||
        size < pb_find_number(&range, 1) || (limit > 0 && size > limit)) {
        return refuse(why, GRPC_ALREADY_EXISTS, "volume %s already exist but is incompatible", wanted->name);
    }
    put_volume(reply, volume, request);
    return GRPC_OK;
}

static int create_locked(const struct buffer *request, struct wanted *wanted, struct buffer *reply, char **why)
{
    const struct buffer range = pb_find_message(request, 2);
    _cleanup_json_ json_t *parameters = pb_find_map(request, 4);
    wanted->zone = pick_zone(request, why);
    if (wanted->zone == NULL || !storage_class_read(&wanted->class, parameters, why)) {
        return GRPC_INVALID_ARGUMENT;
    }
    if (!cloud_tags_valid(wanted->class.tags)) {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Invalid tags in storage class");
    }
    if (!storage_class_size(&wanted->class, &range, &wanted->bytes, why)) {
        _cleanup_free_ char *error = STEAL(*why);
        return refuse(why, GRPC_OUT_OF_RANGE, "unsupported capacity range, error: %s", error);
    }
    _cleanup_json_ json_t *there = cloud_volume_by_name(wanted->name, why);
    if (*why != NULL) {
        _cleanup_free_ char *error = STEAL(*why);
        return refuse(why, GRPC_INTERNAL, "find volume by name error: %s, %s", wanted->name, error);
    }
    if (there != NULL) {
        return reuse(request, wanted, there, reply, why);
    }
    int status = GRPC_INTERNAL;
    _cleanup_free_ char *id = make(request, wanted, &status, why);
    if (id == NULL) {
        return status;
    }
    _cleanup_json_ json_t *volume = cloud_volume(id, why);
    if (volume == NULL) {
        return *why != NULL ? GRPC_INTERNAL : refuse(why, GRPC_ABORTED, "cannot find volume %s", id);
    }
    if (!cloud_tag(wanted->class.tags, id, "volume", why)) {
        return GRPC_INTERNAL;
    }
    put_volume(reply, volume, request);
    return GRPC_OK;
}

static int create_volume(const struct buffer *request, struct buffer *reply, char **why)
{
    _cleanup_(wanted_clear) struct wanted wanted = {.name = pb_find_text(request, 1)};
    const struct buffer capability = pb_find_message(request, 3);
    const struct buffer mode = pb_find_message(&capability, 3);
    if (capability.len == 0) {
        return refuse(why, GRPC_INVALID_ARGUMENT, "volume capabilities missing in request");
    }
    if (pb_find_number(&mode, 1) != SINGLE_NODE_WRITER) {
        return refuse(why, GRPC_INVALID_ARGUMENT, "volume capabilities not match");
    }
    if (wanted.name[0] == '\0') {
        return refuse(why, GRPC_INVALID_ARGUMENT, "volume name missing in request");
    }
    if (!resource_lock(wanted.name)) {
        return refuse(why, GRPC_ABORTED, PENDING, wanted.name);
    }
    int status = create_locked(request, &wanted, reply, why);
    resource_unlock(wanted.name);
    return status;
}

static int delete_volume(const char *id, char **why)
{
    _cleanup_json_ json_t *volume = cloud_volume(id, why);
    if (volume == NULL) {
        return *why == NULL ? GRPC_OK : GRPC_INTERNAL;
    }
    if (strcmp(text_at(volume, "status"), "in-use") == 0) {
        return refuse(why, GRPC_FAILED_PRECONDITION, "volume is in use by another resource");
    }
    _cleanup_json_ json_t *answer =
        cloud_job_again("DeleteVolumes", json_pack("{s[s]}", "volumes", id), TRY_LATER, why);
    if (answer == NULL) {
        _cleanup_free_ char *error = STEAL(*why);
        return refuse(why, GRPC_INTERNAL, "Exceed retry times: %s", error);
    }
    return GRPC_OK;
}

/* The device's name in the instance, which the cloud may say some time after the job is done. */
static int await_device(const char *id, const char *node, char **why)
{
    for (int tries = 0; tries < DEVICE_TRIES; tries++) {
        _cleanup_json_ json_t *volume = cloud_volume(id, why);
        if (*why != NULL) {
            break;
        }
        if (text_at(volume, "instance device")[0] != '\0') {
            return GRPC_OK;
        }
        retry_pause(tries);
    }
    free(STEAL(*why));
    _cleanup_json_ json_t *detached =
        cloud_job("DetachVolumes", json_pack("{s[s] ss}", "volumes", id, "instance", node), why);
    return detached == NULL ? refuse(why, GRPC_INTERNAL, "cannot find device path, detach volume %s failed", id)
                            : refuse(why, GRPC_INTERNAL,
                                     "cannot find device path, volume %s has been detached, CSI framework will try to "
                                     "attach instance %s again.",
                                     id, node);
}

static int attach(const char *id, const struct buffer *request, char **why)
{
    _cleanup_free_ char *node = pb_find_text(request, 2);
    if (node[0] == '\0') {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Node ID missing in request");
    }
    if (pb_find_message(request, 3).len == 0) {
        return refuse(why, GRPC_INVALID_ARGUMENT, "No volume capability is provided ");
    }
    _cleanup_json_ json_t *volume = cloud_volume(id, why);
    if (volume == NULL) {
        return *why != NULL ? GRPC_INTERNAL : refuse(why, GRPC_NOT_FOUND, "Volume: %s does not exist", id);
    }
    _cleanup_json_ json_t *instance = cloud_instance(node, why);
    if (instance == NULL) {
        return *why != NULL ? GRPC_INTERNAL : refuse(why, GRPC_NOT_FOUND, "Node: %s does not exist", node);
    }
    const char *at = text_at(volume, "instance instance_id");
    if (at[0] != '\0') {
        return strcmp(at, node) == 0 ? GRPC_OK
                                     : refuse(why, GRPC_FAILED_PRECONDITION, "Volume published to another node");
    }
    _cleanup_json_ json_t *answer =
        cloud_job("AttachVolumes", json_pack("{s[s] ss}", "volumes", id, "instance", node), why);
    return answer == NULL ? GRPC_INTERNAL : await_device(id, node, why);
}

/* How often detaching each volume has failed. */
static json_t *failures;

static int detach(const char *id, const struct buffer *request, char **why)
{
    _cleanup_free_ char *node = pb_find_text(request, 2);
    _cleanup_json_ json_t *volume = cloud_volume(id, why);
    if (volume == NULL) {
        return *why != NULL ? GRPC_INTERNAL : refuse(why, GRPC_NOT_FOUND, "Volume: %s does not exist", id);
    }
    if (text_at(volume, "instance instance_id")[0] == '\0') {
        return GRPC_OK;
    }
    _cleanup_json_ json_t *instance = cloud_instance(node, why);
    if (instance == NULL) {
        return *why != NULL ? GRPC_INTERNAL : refuse(why, GRPC_NOT_FOUND, "Node: %s does not exist", node);
    }
    failures = failures == NULL ? json_object() : failures;
    json_int_t failed = json_integer_value(json_object_get(failures, id));
    if (failed > driver.retries) {
        return refuse(why, GRPC_INTERNAL, "volume %s exceeds max retry times %d.", id, driver.retries);
    }
    _cleanup_json_ json_t *answer =
        cloud_job("DetachVolumes", json_pack("{s[s] ss}", "volumes", id, "instance", node), why);
    if (answer == NULL) {
        json_object_set_new(failures, id, json_integer(failed + 1));
        return GRPC_INTERNAL;
    }
    return GRPC_OK;
}

static int expand(const char *id, const struct buffer *request, struct buffer *reply, char **why)
{
    const struct buffer range = pb_find_message(request, 2);
    _cleanup_(storage_class_clear) struct storage_class class = {0};
    uint64_t bytes = 0;
    _cleanup_json_ json_t *volume = cloud_volume(id, why);
    if (volume == NULL) {
        return *why != NULL ? GRPC_INTERNAL : refuse(why, GRPC_NOT_FOUND, "Volume: %s does not exist", id);
    }
    if (!storage_class_of_type(&class, (int)json_integer_value(json_object_get(volume, "volume_type")))) {
        return refuse(why, GRPC_INTERNAL, "Unsupported volume [%s] type", id);
    }
    if (!storage_class_size(&class, &range, &bytes, why)) {
        return GRPC_OUT_OF_RANGE;
    }
    if (size_of(volume) < bytes) {
        if (strcmp(text_at(volume, "status"), "in-use") == 0) {
            return refuse(why, GRPC_FAILED_PRECONDITION,
                          "volume %s currently published on a node but plugin only support OFFLINE expansion", id);
        }
        _cleanup_json_ json_t *answer = cloud_job_again(
            "ResizeVolumes", json_pack("{s[s] si}", "volumes", id, "size", (int)(bytes / GIB)), TRY_LATER, why);
        if (answer == NULL) {
            return GRPC_INTERNAL;
        }
    }
    pb_number(reply, 1, size_of(volume) > bytes ? size_of(volume) : bytes);
    pb_number(reply, 2, 1);
    return GRPC_OK;
}

int controller_call(const char *method, const struct buffer *request, struct buffer *reply, char **why)
{
    static const unsigned types[] = {CSI_CREATE_DELETE_VOLUME, CSI_PUBLISH_UNPUBLISH, CSI_SNAPSHOT, CSI_EXPAND,
                                     CSI_CLONE};
    if (strcmp(method, "ControllerGetCapabilities") == 0) {
        put_capabilities(reply, types, ELEMENTS(types));
        return GRPC_OK;
    }
    if (strcmp(method, "CreateVolume") == 0) {
        return create_volume(request, reply, why);
    }
    _cleanup_free_ char *id = pb_find_text(request, 1);
    if (id[0] == '\0') {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Volume ID missing in request");
    }
    if (!resource_lock(id)) {
        return refuse(why, GRPC_ABORTED, PENDING, id);
    }
    _cleanup_unlock_ char *held = xstrdup(id);
    if (strcmp(method, "DeleteVolume") == 0) {
        return delete_volume(id, why);
    }
    if (strcmp(method, "ControllerPublishVolume") == 0) {
        return attach(id, request, why);
    }
    if (strcmp(method, "ControllerUnpublishVolume") == 0) {
        return detach(id, request, why);
    }
    return strcmp(method, "ControllerExpandVolume") == 0 ? expand(id, request, reply, why)
                                                         : refuse(why, GRPC_UNIMPLEMENTED, "%s", method);
}
