/* Snapshots: docs.qingcloud.com/product/api/action/snapshot. */
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

enum { MIB_A_GIB = 1024 };

static json_t *new_snapshot(struct cloudapi_call *call, const json_t *volume)
{
    const json_t *size = json_object_get(volume, "size");
    long is_full = 0;
    (void)cloudapi_number(call, "is_full", 0, 1, &is_full);
    json_t *members =
        json_pack("{s:I, s:I, s:i, s:i, s:i, s:[], s:{s:O, s:O, s:s}, s:{s:O, s:O, s:O}}", "size",
                  json_integer_value(size) * MIB_A_GIB, "total_size", json_integer_value(size) * MIB_A_GIB,
                  "snapshot_type", (int)is_full, "is_taken", 1, "is_head", 1, "tags", "resource", "resource_id",
                  json_object_get(volume, "volume_id"), "resource_name", json_object_get(volume, "volume_name"),
                  "resource_type", "volume", "snapshot_resource", "size", size, "volume_type",
                  json_object_get(volume, "volume_type"), "volume_id", json_object_get(volume, "volume_id"));
    json_t *snapshot = cloudapi_add(call, &cloudapi_snapshots, members, cloudapi_text(call, "snapshot_name"), NULL);
    json_object_set(snapshot, "root_id", json_object_get(snapshot, "snapshot_id"));
    json_object_set(snapshot, "snapshot_time", json_object_get(snapshot, "create_time"));
    cloudapi_status(call, snapshot, "pending", "creating");
    return snapshot;
}

static json_t *create_snapshots(struct cloudapi_call *call)
{
    _cleanup_strv_ char **resources = cloudapi_list(call, "resources");
    json_t *over = cloudapi_quota(call, &cloudapi_snapshots, (long)strv_length(resources));
    if (over != NULL) {
        return over;
    }
    if (resources[0] == NULL) {
        return cloudapi_invalid("resources");
    }
    for (char **id = resources; *id != NULL; id++) {
        if (cloudapi_find(call, &cloudapi_volumes, *id) == NULL) {
            return cloudapi_not_found(*id);
        }
    }
    json_t *ids = json_array();
    json_t *changes = json_array();
    for (char **id = resources; *id != NULL; id++) {
        const json_t *snapshot = new_snapshot(call, cloudapi_find(call, &cloudapi_volumes, *id));
        const char *made = json_text(snapshot, "snapshot_id");
        json_array_append_new(ids, json_string(made));
        json_array_append_new(
            changes, cloudapi_change_disk(
                         cloudapi_change(&cloudapi_snapshots, made,
                                         json_pack("{s:s, s:s}", "status", "available", "transition_status", ""),
                                         json_pack("{s:s, s:s}", "status", "ceased", "transition_status", "")),
                         "copy", *id));
    }
    return cloudapi_done(json_pack("{s:o, s:s}", "snapshots", ids, "job_id", cloudapi_job(call, changes)));
}

static json_t *create_volume_from_snapshot(struct cloudapi_call *call)
{
    const char *id = cloudapi_text(call, "snapshot");
    const json_t *snapshot = cloudapi_find(call, &cloudapi_snapshots, id);
    if (snapshot == NULL) {
        return id == NULL ? cloudapi_invalid("snapshot") : cloudapi_not_found(id);
    }
    if (strcmp(json_text_or(snapshot, "status", ""), "available") != 0) {
        return cloudapi_refuse(RET_DENIED,
                               "PermissionDenied, snapshot [%s] is not available, can not create volume from it", id);
    }
    const json_t *of = json_object_get(snapshot, "snapshot_resource");
    const struct cloudapi_new_volumes wanted = {
        .name = cloudapi_text(call, "volume_name"),
        .source = id,
        .type = (long)json_integer_value(json_object_get(of, "volume_type")),
        .size = (long)json_integer_value(json_object_get(of, "size")),
        .count = 1,
    };
    json_t *answer = cloudapi_new_volumes(call, &wanted);
    json_t *volumes = json_object_get(answer, "volumes");
    if (volumes != NULL) { /* this action names the one volume */
        json_object_set(answer, "volume_id", json_array_get(volumes, 0));
        json_object_del(answer, "volumes");
    }
    return answer;
}

static json_t *delete_snapshots(struct cloudapi_call *call)
{
    _cleanup_strv_ char **ids = cloudapi_list(call, "snapshots");
    if (ids[0] == NULL) {
        return cloudapi_invalid("snapshots");
    }
    for (char **id = ids; *id != NULL; id++) {
        const json_t *snapshot = cloudapi_find(call, &cloudapi_snapshots, *id);
        if (snapshot == NULL) {
            return cloudapi_not_found(*id);
        }
        if (json_text_or(snapshot, "transition_status", "")[0] != '\0') {
            return cloudapi_refuse(RET_DENIED, "PermissionDenied, resource [%s] is [%s], please try later", *id,
                                   json_text_or(snapshot, "transition_status", ""));
        }
    }
    json_t *changes = json_array();
    for (char **id = ids; *id != NULL; id++) {
        cloudapi_status(call, cloudapi_find(call, &cloudapi_snapshots, *id), "available", "deleting");
        json_array_append_new(
            changes,
            cloudapi_change_disk(cloudapi_change(&cloudapi_snapshots, *id,
                                                 json_pack("{s:s, s:s}", "status", "deleted", "transition_status", ""),
                                                 json_pack("{s:s}", "transition_status", "")),
                                 "remove", NULL));
    }
    return cloudapi_done(json_pack("{s:s}", "job_id", cloudapi_job(call, changes)));
}

static json_t *describe_snapshots(struct cloudapi_call *call)
{
    return cloudapi_describe(
        call, &(struct cloudapi_description){.kind = &cloudapi_snapshots, .set = "snapshot_set", .ids = "snapshots"});
}

const struct cloudapi_action cloudapi_snapshot_actions[] = {{"CreateSnapshots", create_snapshots},
                                                            {"DescribeSnapshots", describe_snapshots},
                                                            {"CreateVolumeFromSnapshot", create_volume_from_snapshot},
                                                            {"DeleteSnapshots", delete_snapshots},
                                                            {NULL, NULL}};
