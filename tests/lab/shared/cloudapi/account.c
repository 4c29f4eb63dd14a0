/* Zones, keys, quotas, tags and jobs. */
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

const char *cloudapi_user(const json_t *data, const char *key)
{
    return json_text_or(json_object_get(data, "users"), key, key);
}

/* "zones" are texts: ids of zones that are up. */
static json_t *describe_zones(struct cloudapi_call *call)
{
    json_t *set = json_array();
    _cleanup_strv_ char **ids = cloudapi_list(call, "zones");
    size_t i = 0;
    json_t *zone;
    json_array_foreach (json_object_get(call->data, "zones"), i, zone) {
        const char *id = json_string_value(zone);
        if (id != NULL && (ids[0] == NULL || strv_contains(ids, id))) {
            json_array_append_new(set, json_pack("{s:s, s:s}", "zone_id", id, "status", "active"));
        }
    }
    return cloudapi_done(json_pack("{s:I, s:o}", "total_count", (json_int_t)json_array_size(set), "zone_set", set));
}

/* A user sees the keys that are its own, without their secrets. */
static json_t *describe_access_keys(struct cloudapi_call *call)
{
    json_t *set = json_array();
    _cleanup_strv_ char **ids = cloudapi_list(call, "access_keys");
    const char *key;
    json_t *secret;
    json_object_foreach (json_object_get(call->data, "keys"), key, secret) {
        if (strcmp(cloudapi_user(call->data, key), call->user) == 0 && (ids[0] == NULL || strv_contains(ids, key))) {
            json_array_append_new(set, json_pack("{s:s, s:s, s:s, s:s}", "access_key_id", key, "access_key_name", "",
                                                 "owner", call->user, "status", "active"));
        }
    }
    return cloudapi_done(
        json_pack("{s:I, s:o}", "total_count", (json_int_t)json_array_size(set), "access_key_set", set));
}

static const struct cloudapi_kind *const counted[] = {&cloudapi_volumes, &cloudapi_snapshots, &cloudapi_balancers,
                                                      &cloudapi_eips,    &cloudapi_tags,      &cloudapi_firewalls};

static long used(struct cloudapi_call *call, const struct cloudapi_kind *kind)
{
    long n = 0;
    size_t i = 0;
    json_t *entry;
    json_array_foreach (cloudapi_all(call, kind->list), i, entry) {
        n += !cloudapi_is_deleted(entry) && strcmp(json_text_or(entry, "owner", ""), call->user) == 0;
    }
    return n;
}

static json_t *get_quota_left(struct cloudapi_call *call)
{
    json_t *set = json_array();
    _cleanup_strv_ char **types = cloudapi_list(call, "resource_types");
    for (size_t i = 0; i < ELEMENTS(counted); i++) {
        if (types[0] == NULL || strv_contains(types, counted[i]->type)) {
            const json_t *quota = json_object_get(json_object_get(call->faults, "quota"), counted[i]->type);
            long left = (quota == NULL ? counted[i]->quota : (long)json_integer_value(quota)) - used(call, counted[i]);
            json_array_append_new(set, json_pack("{s:s, s:I}", "resource_type", counted[i]->type, "left",
                                                 (json_int_t)(left < 0 ? 0 : left)));
        }
    }
    return cloudapi_done(
        json_pack("{s:I, s:o}", "total_count", (json_int_t)json_array_size(set), "quota_left_set", set));
}

static json_t *create_tag(struct cloudapi_call *call)
{
    json_t *over = cloudapi_quota(call, &cloudapi_tags, 1);
    if (over != NULL) {
        return over;
    }
    if (str_empty(cloudapi_text(call, "tag_name"))) {
        return cloudapi_invalid("tag_name");
    }
    json_t *tag = cloudapi_add(call, &cloudapi_tags, json_pack("{s:[]}", "resource_tag_pairs"),
                               cloudapi_text(call, "tag_name"), NULL);
    return cloudapi_done(json_pack("{s:O}", "tag_id", json_object_get(tag, "tag_id")));
}

static json_t *attach_tags(struct cloudapi_call *call)
{
    _cleanup_json_ json_t *pairs = cloudapi_objects(call, "resource_tag_pairs");
    size_t i = 0;
    json_t *pair;
    if (json_array_size(pairs) == 0) {
        return cloudapi_invalid("resource_tag_pairs");
    }
    json_array_foreach (pairs, i, pair) {
        const char *id = json_text_or(pair, "resource_id", "");
        bool known = false;
        for (size_t k = 0; k < ELEMENTS(counted); k++) {
            known = known || (strcmp(json_text_or(pair, "resource_type", ""), counted[k]->type) == 0 &&
                              cloudapi_find(call, counted[k], id) != NULL);
        }
        if (!known || cloudapi_find(call, &cloudapi_tags, json_text(pair, "tag_id")) == NULL) {
            return cloudapi_not_found(known ? json_text_or(pair, "tag_id", "") : id);
        }
    }
    json_array_foreach (pairs, i, pair) {
        json_t *tag = cloudapi_find(call, &cloudapi_tags, json_text(pair, "tag_id"));
        json_array_append(json_object_get(tag, "resource_tag_pairs"), pair);
    }
    return cloudapi_done(NULL);
}

static json_t *describe_tags(struct cloudapi_call *call)
{
    return cloudapi_describe(call,
                             &(struct cloudapi_description){.kind = &cloudapi_tags, .set = "tag_set", .ids = "tags"});
}

static json_t *describe_jobs(struct cloudapi_call *call)
{
    return cloudapi_describe(call,
                             &(struct cloudapi_description){.kind = &cloudapi_jobs, .set = "job_set", .ids = "jobs"});
}

const struct cloudapi_action cloudapi_account_actions[] = {
    {"DescribeZones", describe_zones}, {"DescribeAccessKeys", describe_access_keys},
    {"GetQuotaLeft", get_quota_left},  {"CreateTag", create_tag},
    {"AttachTags", attach_tags},       {"DescribeTags", describe_tags},
    {"DescribeJobs", describe_jobs},   {NULL, NULL}};
