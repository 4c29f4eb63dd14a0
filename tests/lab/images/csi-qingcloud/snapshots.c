/* Snapshots. */
#include <string.h>
#include <time.h>

#include "tests/lab/images/csi-qingcloud/driver.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/grpc.h"
#include "tests/lab/images/shared/protobuf.h"
#include "tests/lab/images/shared/qingcloud.h"

static int put_snapshot(struct buffer *reply, const json_t *snapshot, char **why)
{
    _cleanup_buffer_ struct buffer message = {0};
    _cleanup_buffer_ struct buffer when = {0};
    struct tm utc = {0};
    if (strptime(text_at(snapshot, "create_time"), "%Y-%m-%dT%H:%M:%SZ", &utc) == NULL) {
        return refuse(why, GRPC_INTERNAL, "create_time of a snapshot is not one");
    }
    pb_number(&when, 1, (uint64_t)timegm(&utc));
    pb_number(&message, 1, (uint64_t)json_integer_value(json_object_get(snapshot, "size")) << 20);
    pb_text(&message, 2, text_at(snapshot, "snapshot_id"));
    pb_text(&message, 3, text_at(snapshot, "resource resource_id"));
    pb_message(&message, 4, &when);
    pb_number(&message, 5, strcmp(text_at(snapshot, "status"), "available") == 0);
    pb_message(reply, 1, &message);
    return GRPC_OK;
}

/* It answers as soon as the cloud has taken the call: whether the snapshot is ready is asked again. */
static int create(const struct buffer *request, const char *volume, const char *name, struct buffer *reply, char **why)
{
    _cleanup_(storage_class_clear) struct storage_class class = {0};
    _cleanup_json_ json_t *parameters = pb_find_map(request, 4);
    _cleanup_json_ json_t *there = cloud_snapshot_by_name(name, why);
    if (*why != NULL) {
        _cleanup_free_ char *error = STEAL(*why);
        return refuse(why, GRPC_INTERNAL, "find snapshot by name error: %s, %s", name, error);
    }
    if (there != NULL) {
        return strcmp(text_at(there, "resource resource_id"), volume) == 0
                   ? put_snapshot(reply, there, why)
                   : refuse(why, GRPC_ALREADY_EXISTS,
                            "snapshot name [%s] id [%s] already exists, but is incompatible with the source volume id "
                            "[%s]",
                            name, text_at(there, "snapshot_id"), volume);
    }
    json_t *tags = json_object();
    json_object_set(tags, "tags", json_object_get(parameters, "tags"));
    json_object_set_new(tags, "type", json_string("100"));
    bool valid = storage_class_read(&class, tags, why) && cloud_tags_valid(class.tags);
    json_decref(tags);
    if (!valid) {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Invalid tags in storage class");
    }
    _cleanup_json_ json_t *answer = qingcloud_call(
        "CreateSnapshots", json_pack("{ss si s[s]}", "snapshot_name", name, "is_full", 1, "resources", volume), why);
    if (answer == NULL) {
        _cleanup_free_ char *error = STEAL(*why);
        return refuse(why, GRPC_INTERNAL, "create snapshot [%s] from source volume [%s] error: %s", name, volume,
                      error);
    }
    const char *id = json_string_value(json_array_get(json_object_get(answer, "snapshots"), 0));
    if (!cloud_tag(class.tags, id, "snapshot", why)) {
        return GRPC_INTERNAL;
    }
    _cleanup_json_ json_t *snapshot = cloud_snapshot(id, why);
    return snapshot == NULL ? refuse(why, GRPC_INTERNAL, "cannot find just created snapshot id [%s]", id)
                            : put_snapshot(reply, snapshot, why);
}

static int delete (const char *id, char **why)
{
    _cleanup_json_ json_t *snapshot = cloud_snapshot(id, why);
    if (snapshot == NULL) {
        return *why == NULL ? GRPC_OK : GRPC_INTERNAL;
    }
    _cleanup_json_ json_t *answer =
        cloud_job_again("DeleteSnapshots", json_pack("{s[s]}", "snapshots", id), TRY_LATER, why);
    if (answer == NULL) {
        _cleanup_free_ char *error = STEAL(*why);
        return refuse(why, GRPC_INTERNAL, "Exceed retry times: %s", error);
    }
    return GRPC_OK;
}

int snapshot_call(const char *method, const struct buffer *request, struct buffer *reply, char **why)
{
    _cleanup_free_ char *id = pb_find_text(request, 1);
    if (strcmp(method, "CreateSnapshot") != 0 && strcmp(method, "DeleteSnapshot") != 0) {
        return refuse(why, GRPC_UNIMPLEMENTED, "%s", method);
    }
    bool makes = strcmp(method, "CreateSnapshot") == 0;
    _cleanup_free_ char *name = makes ? pb_find_text(request, 2) : xstrdup("-");
    if (id[0] == '\0' || name[0] == '\0') {
        return refuse(why, GRPC_INVALID_ARGUMENT, "%s missing in request",
                      name[0] == '\0' ? "snapshot name"
                      : makes         ? "volume ID"
                                      : "snapshot ID");
    }
    if (!resource_lock(id)) {
        return refuse(why, GRPC_ABORTED, "An operation with the given resource %s already exists", id);
    }
    int status = makes ? create(request, id, name, reply, why) : delete (id, why);
    resource_unlock(id);
    return status;
}
