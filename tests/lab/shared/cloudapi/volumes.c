/* Volumes: docs.qingcloud.com/product/api/action/volume. Which type has which sizes, and attaches to which classes of
 * instances, is the platform's table of today. */
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

enum { VOLUMES_A_CALL = 100, VOLUMES_AN_INSTANCE = 10, NO_CLASS = -1 };

static const struct volume_type {
    long type, least, most, step; /* GiB */
    long classes[9];
} types[] = {{0, 10, 2000, 10, {0, 101, NO_CLASS}},
             {2, 100, 5000, 50, {0, 1, 101, 201, 202, 301, NO_CLASS}},
             {3, 10, 2000, 10, {1, 201, 202, 301, NO_CLASS}},
             {5, 100, 50000, 100, {0, 1, 6, 101, 201, 202, 301, NO_CLASS}},
             {6, 100, 50000, 100, {0, 1, 7, 101, 201, 202, 301, NO_CLASS}},
             {100, 10, 2000, 10, {0, 101, NO_CLASS}},
             {200, 10, 2000, 10, {1, 201, 202, 301, NO_CLASS}}};

static long integer(const json_t *object, const char *name)
{
    return (long)json_integer_value(json_object_get(object, name));
}

/* NULL for one that the platform, or this zone of it ("volume_types" of the data), has not. */
static const struct volume_type *type_of(const struct cloudapi_call *call, long type)
{
    const json_t *of_zone = json_object_get(call->data, "volume_types");
    bool has = of_zone == NULL;
    size_t i = 0;
    json_t *one;
    json_array_foreach (of_zone, i, one) {
        has = has || json_integer_value(one) == type;
    }
    for (size_t t = 0; has && t < ELEMENTS(types); t++) {
        if (types[t].type == type) {
            return &types[t];
        }
    }
    return NULL;
}

static json_t *no_instance(void)
{
    return json_pack("{s:s, s:s, s:s}", "instance_id", "", "instance_name", "", "device", "");
}

static json_t *new_volume(struct cloudapi_call *call, const char *name, long type, long size)
{
    json_t *members = json_pack("{s:I, s:I, s:s, s:o, s:[], s:[], s:s, s:i}", "volume_type", (json_int_t)type, "size",
                                (json_int_t)size, "repl", "rpp-00000002", "instance", no_instance(), "instances",
                                "tags", "device", "", "sub_code", 0);
    json_t *volume = cloudapi_add(call, &cloudapi_volumes, members, name, NULL);
    cloudapi_status(call, volume, "pending", "creating");
    return volume;
}

json_t *cloudapi_new_volumes(struct cloudapi_call *call, const struct cloudapi_new_volumes *wanted)
{
    json_t *over = cloudapi_quota(call, &cloudapi_volumes, wanted->count);
    if (over != NULL) {
        return over;
    }
    json_t *ids = json_array();
    json_t *changes = json_array();
    for (long n = 0; n < wanted->count; n++) {
        json_t *volume = new_volume(call, wanted->name, wanted->type, wanted->size);
        const char *id = json_text(volume, "volume_id");
        json_t *change = cloudapi_change(&cloudapi_volumes, id,
                                         json_pack("{s:s, s:s}", "status", "available", "transition_status", ""),
                                         json_pack("{s:s, s:s}", "status", "ceased", "transition_status", ""));
        json_array_append_new(ids, json_string(id));
        json_array_append_new(changes,
                              cloudapi_change_disk(change, wanted->source == NULL ? "create" : "copy", wanted->source));
    }
    return cloudapi_done(json_pack("{s:o, s:s}", "volumes", ids, "job_id", cloudapi_job(call, changes)));
}

static json_t *create_volumes(struct cloudapi_call *call)
{
    struct cloudapi_new_volumes wanted = {.name = cloudapi_text(call, "volume_name"), .count = 1};
    if (cloudapi_text(call, "size") == NULL || !cloudapi_number(call, "size", 1, 1000000, &wanted.size)) {
        return cloudapi_invalid("size");
    }
    if (!cloudapi_number(call, "count", 1, VOLUMES_A_CALL, &wanted.count)) {
        return cloudapi_invalid("count");
    }
    const struct volume_type *type = NULL;
    if (!cloudapi_number(call, "volume_type", 0, 1000, &wanted.type) || (type = type_of(call, wanted.type)) == NULL) {
        return cloudapi_invalid("volume_type");
    }
    if (wanted.size < type->least || wanted.size > type->most || wanted.size % type->step != 0) {
        return cloudapi_refuse(RET_FORMAT,
                               "InvalidRequestFormat, illegal volume size [%ld], should be between [%ld] and [%ld] "
                               "and a multiple of [%ld]",
                               wanted.size, type->least, type->most, type->step);
    }
    return cloudapi_new_volumes(call, &wanted);
}

/* The volumes a call names, in *VOLUMES (borrowed elements), each of them in the status WANTED (NULL: any) and not on
 * its way to another; NULL, or the refusal. */
static json_t *named(struct cloudapi_call *call, const char *wanted, json_t **volumes)
{
    _cleanup_strv_ char **ids = cloudapi_list(call, "volumes");
    *volumes = json_array();
    for (char **id = ids; *id != NULL; id++) {
        json_t *volume = cloudapi_find(call, &cloudapi_volumes, *id);
        if (volume == NULL) {
            return cloudapi_not_found(*id);
        }
        const char *transition = json_text_or(volume, "transition_status", "");
        if (transition[0] != '\0') {
            return cloudapi_refuse(RET_DENIED, "PermissionDenied, resource [%s] is [%s], please try later", *id,
                                   transition);
        }
        const char *status = json_text_or(volume, "status", "");
        if (wanted != NULL && strcmp(status, wanted) != 0) {
            return cloudapi_refuse(RET_DENIED,
                                   "PermissionDenied, the status of resource [%s] is [%s], it should be "
                                   "[%s]",
                                   *id, status, wanted);
        }
        json_array_append(*volumes, volume);
    }
    return ids[0] == NULL ? cloudapi_invalid("volumes") : NULL;
}

/* A job of one change a volume, each on its way with TRANSITION. */
static json_t *start(struct cloudapi_call *call, const json_t *volumes, const char *transition,
                     json_t *(*change)(struct cloudapi_call *call, json_t *volume))
{
    json_t *changes = json_array();
    size_t i = 0;
    json_t *volume;
    json_array_foreach ((json_t *)volumes, i, volume) {
        json_array_append_new(changes, change(call, volume));
        cloudapi_status(call, volume, json_text_or(volume, "status", ""), transition);
    }
    return cloudapi_done(json_pack("{s:s}", "job_id", cloudapi_job(call, changes)));
}

/* The next free name on the instance: the first two are its own disks. "" when there is none. */
static char *next_device(const struct cloudapi_call *call, const char *instance)
{
    for (int letter = 'c'; letter <= 'z'; letter++) {
        char *device = xasprintf("/dev/vd%c", letter);
        bool taken = false;
        size_t i = 0;
        json_t *volume;
        json_array_foreach (cloudapi_all(call, cloudapi_volumes.list), i, volume) {
            const json_t *at = json_object_get(volume, "_attaching");
            at = at == NULL ? json_object_get(volume, "instance") : at;
            taken = taken || (strcmp(json_text_or(at, "instance_id", ""), instance) == 0 &&
                              strcmp(json_text_or(at, "device", ""), device) == 0);
        }
        if (!taken) {
            return device;
        }
        free(device);
    }
    return xstrdup("");
}

static json_t *attach_change(struct cloudapi_call *call, json_t *volume)
{
    const char *instance = cloudapi_text(call, "instance");
    _cleanup_free_ char *device = next_device(call, instance);
    json_t *at = json_pack("{s:s, s:s, s:s}", "instance_id", instance, "instance_name", "", "device", device);
    json_object_set(volume, "_attaching", at);
    json_t *set = json_pack("{s:s, s:s, s:n, s:O, s:[O], s:s}", "status", "in-use", "transition_status", "",
                            "_attaching", "instance", at, "instances", at, "device", device);
    json_decref(at);
    return cloudapi_change_disk(cloudapi_change(&cloudapi_volumes, json_text(volume, "volume_id"), set,
                                                json_pack("{s:s, s:n}", "transition_status", "", "_attaching")),
                                "attach", NULL);
}

static long attached_to(const struct cloudapi_call *call, const char *instance)
{
    long n = 0;
    size_t i = 0;
    json_t *volume;
    json_array_foreach (cloudapi_all(call, cloudapi_volumes.list), i, volume) {
        const json_t *at = json_object_get(volume, "_attaching");
        at = at == NULL ? json_object_get(volume, "instance") : at;
        n += strcmp(json_text_or(at, "instance_id", ""), instance) == 0;
    }
    return n;
}

static bool attaches(const struct volume_type *type, long class)
{
    for (const long *c = type->classes; *c != NO_CLASS; c++) {
        if (*c == class) {
            return true;
        }
    }
    return false;
}

static json_t *attach_volumes(struct cloudapi_call *call)
{
    const char *id = cloudapi_text(call, "instance");
    const json_t *instance = cloudapi_instance(call, id);
    _cleanup_json_ json_t *volumes = NULL;
    json_t *refusal = named(call, "available", &volumes);
    if (refusal != NULL) {
        return refusal;
    }
    if (instance == NULL) {
        return id == NULL ? cloudapi_invalid("instance") : cloudapi_not_found(id);
    }
    size_t i = 0;
    json_t *volume;
    json_array_foreach (volumes, i, volume) {
        const struct volume_type *type = type_of(call, integer(volume, "volume_type"));
        if (type == NULL || !attaches(type, integer(instance, "instance_class"))) {
            return cloudapi_refuse(RET_DENIED,
                                   "PermissionDenied, volume [%s] of type [%ld] can not be attached to instance [%s] "
                                   "of class [%ld]",
                                   json_text_or(volume, "volume_id", ""), integer(volume, "volume_type"), id,
                                   integer(instance, "instance_class"));
        }
    }
    if (attached_to(call, id) + (long)json_array_size(volumes) > VOLUMES_AN_INSTANCE) {
        return cloudapi_refuse(RET_QUOTA, "QuotaExceeded, instance [%s] can have [%d] volumes", id,
                               VOLUMES_AN_INSTANCE);
    }
    return start(call, volumes, "attaching", attach_change);
}

static json_t *detach_change(struct cloudapi_call *call, json_t *volume)
{
    (void)call;
    return cloudapi_change_disk(
        cloudapi_change(&cloudapi_volumes, json_text(volume, "volume_id"),
                        json_pack("{s:s, s:s, s:o, s:[], s:s}", "status", "available", "transition_status", "",
                                  "instance", no_instance(), "instances", "device", ""),
                        json_pack("{s:s}", "transition_status", "")),
        "detach", NULL);
}

static json_t *detach_volumes(struct cloudapi_call *call)
{
    const char *instance = cloudapi_text(call, "instance");
    _cleanup_json_ json_t *volumes = NULL;
    json_t *refusal = named(call, "in-use", &volumes);
    if (refusal != NULL) {
        return refusal;
    }
    size_t i = 0;
    json_t *volume;
    json_array_foreach (volumes, i, volume) {
        const char *at = json_text_or(json_object_get(volume, "instance"), "instance_id", "");
        if (instance == NULL || strcmp(at, instance) != 0) {
            return cloudapi_refuse(RET_DENIED, "PermissionDenied, volume [%s] is not attached to instance [%s]",
                                   json_text_or(volume, "volume_id", ""), instance == NULL ? "" : instance);
        }
    }
    return start(call, volumes, "detaching", detach_change);
}

static json_t *resize_change(struct cloudapi_call *call, json_t *volume)
{
    long size = 0;
    (void)cloudapi_number(call, "size", 1, 1000000, &size);
    return cloudapi_change_disk(
        cloudapi_change(&cloudapi_volumes, json_text(volume, "volume_id"),
                        json_pack("{s:I, s:s}", "size", (json_int_t)size, "transition_status", ""),
                        json_pack("{s:s}", "transition_status", "")),
        "resize", NULL);
}

/* Only what no instance uses grows, and nothing shrinks. */
static json_t *resize_volumes(struct cloudapi_call *call)
{
    long size = 0;
    _cleanup_json_ json_t *volumes = NULL;
    if (cloudapi_text(call, "size") == NULL || !cloudapi_number(call, "size", 1, 1000000, &size)) {
        return cloudapi_invalid("size");
    }
    json_t *refusal = named(call, "available", &volumes);
    if (refusal != NULL) {
        return refusal;
    }
    size_t i = 0;
    json_t *volume;
    json_array_foreach (volumes, i, volume) {
        const struct volume_type *type = type_of(call, integer(volume, "volume_type"));
        if (size <= integer(volume, "size") || type == NULL || size > type->most || size % type->step != 0) {
            return cloudapi_refuse(RET_DENIED, "PermissionDenied, volume [%s] of [%ld] GB can not be resized to [%ld]",
                                   json_text_or(volume, "volume_id", ""), integer(volume, "size"), size);
        }
    }
    return start(call, volumes, "resizing", resize_change);
}

static json_t *delete_change(struct cloudapi_call *call, json_t *volume)
{
    (void)call;
    return cloudapi_change_disk(cloudapi_change(&cloudapi_volumes, json_text(volume, "volume_id"),
                                                json_pack("{s:s, s:s}", "status", "deleted", "transition_status", ""),
                                                json_pack("{s:s}", "transition_status", "")),
                                "remove", NULL);
}

static json_t *delete_volumes(struct cloudapi_call *call)
{
    _cleanup_json_ json_t *volumes = NULL;
    json_t *refusal = named(call, "available", &volumes);
    return refusal != NULL ? refusal : start(call, volumes, "deleting", delete_change);
}

static json_t *clone_volumes(struct cloudapi_call *call)
{
    const char *id = cloudapi_text(call, "volume");
    const json_t *source = cloudapi_find(call, &cloudapi_volumes, id);
    struct cloudapi_new_volumes wanted = {.name = cloudapi_text(call, "volume_name"), .source = id, .count = 1};
    if (source == NULL) {
        return id == NULL ? cloudapi_invalid("volume") : cloudapi_not_found(id);
    }
    wanted.size = integer(source, "size");
    wanted.type = integer(source, "volume_type");
    if (!cloudapi_number(call, "count", 1, VOLUMES_A_CALL, &wanted.count)) {
        return cloudapi_invalid("count");
    }
    if (!cloudapi_number(call, "volume_type", 0, 1000, &wanted.type) || type_of(call, wanted.type) == NULL) {
        return cloudapi_invalid("volume_type");
    }
    return cloudapi_new_volumes(call, &wanted);
}

static json_t *describe_volumes(struct cloudapi_call *call)
{
    return cloudapi_describe(call, &(struct cloudapi_description){.kind = &cloudapi_volumes,
                                                                  .set = "volume_set",
                                                                  .ids = "volumes",
                                                                  .filters = {{"volume_type", "volume_type"}}});
}

bool cloudapi_release_volumes(struct cloudapi_call *call)
{
    bool any = false;
    size_t i = 0;
    json_t *volume;
    json_array_foreach (cloudapi_all(call, cloudapi_volumes.list), i, volume) {
        const char *at = json_text_or(json_object_get(volume, "instance"), "instance_id", "");
        if (at[0] != '\0' && cloudapi_instance(call, at) == NULL) {
            (void)cloudapi_disk(call, volume, "detach", NULL);
            json_object_set_new(volume, "instance", no_instance());
            json_object_set_new(volume, "instances", json_array());
            json_object_set_new(volume, "device", json_string(""));
            cloudapi_status(call, volume, "available", "");
            any = true;
        }
    }
    return any;
}

const struct cloudapi_action cloudapi_volume_actions[] = {
    {"CreateVolumes", create_volumes}, {"DescribeVolumes", describe_volumes},
    {"AttachVolumes", attach_volumes}, {"DetachVolumes", detach_volumes},
    {"ResizeVolumes", resize_volumes}, {"CloneVolumes", clone_volumes},
    {"DeleteVolumes", delete_volumes}, {NULL, NULL}};
