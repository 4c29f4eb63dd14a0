/* The state: lists of resources by kind, with ids, owners and times. */
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

/* docs.qingcloud.com: ids, and the quotas of a new user */
const struct cloudapi_kind cloudapi_volumes = {"volumes", "volume", "vol-", "volume_id", "volume_name", 200};
const struct cloudapi_kind cloudapi_snapshots = {"snapshots", "snapshot", "ss-", "snapshot_id", "snapshot_name", 100};
const struct cloudapi_kind cloudapi_balancers = {"loadbalancers",   "loadbalancer",      "lb-",
                                                 "loadbalancer_id", "loadbalancer_name", 20};
const struct cloudapi_kind cloudapi_listeners = {
    "listeners", "loadbalancer_listener", "lbl-", "loadbalancer_listener_id", "loadbalancer_listener_name", 200};
const struct cloudapi_kind cloudapi_backends = {
    "backends", "loadbalancer_backend", "lbb-", "loadbalancer_backend_id", "loadbalancer_backend_name", 2000};
const struct cloudapi_kind cloudapi_eips = {"eips", "eip", "eip-", "eip_id", "eip_name", 20};
const struct cloudapi_kind cloudapi_tags = {"tags", "tag", "tag-", "tag_id", "tag_name", 100};
const struct cloudapi_kind cloudapi_firewalls = {"security_groups",   "security_group",      "sg-",
                                                 "security_group_id", "security_group_name", 20};
const struct cloudapi_kind cloudapi_rules = {"security_group_rules",   "security_group_rule",      "sgr-",
                                             "security_group_rule_id", "security_group_rule_name", 200};
const struct cloudapi_kind cloudapi_jobs = {"jobs", "job", "j-", "job_id", NULL, 1000000};

json_t *cloudapi_refuse(int code, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return json_pack("{s:i, s:s}", "ret_code", code, "message", message);
}

json_t *cloudapi_not_found(const char *id)
{
    return cloudapi_refuse(RET_NOT_FOUND, "ResourceNotFound, resource [%s] does not exist", id);
}

json_t *cloudapi_invalid(const char *name)
{
    return cloudapi_refuse(RET_FORMAT, "InvalidRequestFormat, parameter [%s] is missing or invalid", name);
}

json_t *cloudapi_done(json_t *members)
{
    json_t *answer = members == NULL ? json_object() : members;
    json_object_set_new(answer, "ret_code", json_integer(0));
    return answer;
}

char *cloudapi_time(int64_t ms)
{
    char text[32];
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    return xstrdup(text);
}

json_t *cloudapi_all(const struct cloudapi_call *call, const char *list)
{
    json_t *all = json_object_get(call->state, list);
    if (all == NULL) {
        all = json_array();
        json_object_set_new(call->state, list, all);
    }
    return all;
}

/* No two of a kind have the same; eight characters, as the cloud's. */
static char *new_id(const struct cloudapi_call *call, const struct cloudapi_kind *kind)
{
    static const char characters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char random[8];
    for (;;) {
        char *id = xasprintf("%sxxxxxxxx", kind->prefix);
        bool taken = getrandom(random, sizeof random, 0) != sizeof random;
        for (size_t i = 0; i < sizeof random; i++) {
            id[strlen(kind->prefix) + i] = characters[random[i] % (sizeof characters - 1)];
        }
        size_t i = 0;
        json_t *entry;
        json_array_foreach (cloudapi_all(call, kind->list), i, entry) {
            taken = taken || strcmp(json_text_or(entry, kind->id, ""), id) == 0;
        }
        if (!taken) {
            return id;
        }
        free(id);
    }
}

void cloudapi_status(struct cloudapi_call *call, json_t *resource, const char *status, const char *transition)
{
    _cleanup_free_ char *now = cloudapi_time(call->now);
    json_object_set_new(resource, "status", json_string(status));
    json_object_set_new(resource, "transition_status", json_string(transition));
    json_object_set_new(resource, "status_time", json_string(now));
}

json_t *cloudapi_add(struct cloudapi_call *call, const struct cloudapi_kind *kind, json_t *members, const char *name,
                     const char *status)
{
    _cleanup_free_ char *id = new_id(call, kind);
    _cleanup_free_ char *now = cloudapi_time(call->now);
    json_object_set_new(members, kind->id, json_string(id));
    if (kind->name != NULL) {
        json_object_set_new(members, kind->name, json_string(name == NULL ? "" : name));
    }
    json_object_set_new(members, "owner", json_string(call->user));
    json_object_set_new(members, "zone_id", json_string(cloudapi_text(call, "zone")));
    json_object_set_new(members, "create_time", json_string(now));
    if (status != NULL) {
        cloudapi_status(call, members, status, "");
    }
    json_array_append_new(cloudapi_all(call, kind->list), members);
    return members;
}

bool cloudapi_is_deleted(const json_t *resource)
{
    const char *status = json_text_or(resource, "status", "");
    return strcmp(status, "deleted") == 0 || strcmp(status, "ceased") == 0 || strcmp(status, "released") == 0;
}

json_t *cloudapi_find(const struct cloudapi_call *call, const struct cloudapi_kind *kind, const char *id)
{
    size_t i = 0;
    json_t *entry;
    json_array_foreach (cloudapi_all(call, kind->list), i, entry) {
        if (id != NULL && strcmp(json_text_or(entry, kind->id, ""), id) == 0 &&
            strcmp(json_text_or(entry, "owner", call->user), call->user) == 0 && !cloudapi_is_deleted(entry)) {
            return entry;
        }
    }
    return NULL;
}

void cloudapi_drop(struct cloudapi_call *call, const struct cloudapi_kind *kind, const char *id)
{
    json_t *all = cloudapi_all(call, kind->list);
    for (size_t i = json_array_size(all); i-- > 0;) {
        if (strcmp(json_text_or(json_array_get(all, i), kind->id, ""), id) == 0) {
            json_array_remove(all, i);
        }
    }
}

const json_t *cloudapi_instance(const struct cloudapi_call *call, const char *id)
{
    size_t i = 0;
    json_t *entry;
    json_array_foreach (json_object_get(call->data, "instances"), i, entry) {
        if (id != NULL && strcmp(json_text_or(entry, "instance_id", ""), id) == 0) {
            return entry;
        }
    }
    return NULL;
}

json_t *cloudapi_quota(struct cloudapi_call *call, const struct cloudapi_kind *kind, long count)
{
    const json_t *quota = json_object_get(json_object_get(call->faults, "quota"), kind->type);
    long most = quota == NULL ? kind->quota : (long)json_integer_value(quota);
    long used = 0;
    size_t i = 0;
    json_t *entry;
    json_array_foreach (cloudapi_all(call, kind->list), i, entry) {
        used += !cloudapi_is_deleted(entry) && strcmp(json_text_or(entry, "owner", ""), call->user) == 0;
    }
    return used + count <= most ? NULL
                                : cloudapi_refuse(RET_QUOTA,
                                                  "QuotaExceeded, you have no more quota of [%s], quota [%ld], "
                                                  "used [%ld], required [%ld]",
                                                  kind->type, most, used, count);
}
