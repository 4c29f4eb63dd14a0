/* Public addresses: docs.qingcloud.com/product/api/action/eip. */
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

static json_t *allocate(struct cloudapi_call *call)
{
    long bandwidth = 0;
    long count = 1;
    if (cloudapi_text(call, "bandwidth") == NULL || !cloudapi_number(call, "bandwidth", 1, 1000, &bandwidth)) {
        return cloudapi_invalid("bandwidth");
    }
    if (!cloudapi_number(call, "count", 1, 100, &count)) {
        return cloudapi_invalid("count");
    }
    json_t *over = cloudapi_quota(call, &cloudapi_eips, count);
    if (over != NULL) {
        return over;
    }
    json_t *ids = json_array();
    json_t *changes = json_array();
    for (long n = 0; n < count; n++) {
        /* addresses for documents: RFC 5737 */
        _cleanup_free_ char *address =
            xasprintf("203.0.113.%zu", json_array_size(cloudapi_all(call, cloudapi_eips.list)) % 254 + 1);
        json_t *members =
            json_pack("{s:s, s:I, s:s, s:i, s:i, s:[]}", "eip_addr", address, "bandwidth", (json_int_t)bandwidth,
                      "billing_mode", "bandwidth", "associate_mode", 0, "need_icp", 0, "tags");
        json_t *eip = cloudapi_add(call, &cloudapi_eips, members, cloudapi_text(call, "eip_name"), "pending");
        json_array_append(ids, json_object_get(eip, "eip_id"));
        json_array_append_new(changes, cloudapi_change(&cloudapi_eips, json_text(eip, "eip_id"),
                                                       json_pack("{s:s}", "status", "available"),
                                                       json_pack("{s:s}", "status", "ceased")));
    }
    return cloudapi_done(json_pack("{s:o, s:s}", "eips", ids, "job_id", cloudapi_job(call, changes)));
}

static json_t *release(struct cloudapi_call *call)
{
    _cleanup_strv_ char **ids = cloudapi_list(call, "eips");
    for (char **id = ids; *id != NULL; id++) {
        const json_t *eip = cloudapi_find(call, &cloudapi_eips, *id);
        if (eip == NULL) {
            return cloudapi_not_found(*id);
        }
        if (strcmp(json_text_or(eip, "status", ""), "available") != 0) {
            return cloudapi_refuse(RET_DENIED, "PermissionDenied, resource [%s] is [%s], please try later", *id,
                                   json_text_or(eip, "status", ""));
        }
    }
    if (ids[0] == NULL) {
        return cloudapi_invalid("eips");
    }
    json_t *changes = json_array();
    for (char **id = ids; *id != NULL; id++) {
        cloudapi_status(call, cloudapi_find(call, &cloudapi_eips, *id), "available", "releasing");
        json_array_append_new(changes,
                              cloudapi_change(&cloudapi_eips, *id,
                                              json_pack("{s:s, s:s}", "status", "released", "transition_status", ""),
                                              json_pack("{s:s}", "transition_status", "")));
    }
    return cloudapi_done(json_pack("{s:s}", "job_id", cloudapi_job(call, changes)));
}

static json_t *describe(struct cloudapi_call *call)
{
    return cloudapi_describe(call,
                             &(struct cloudapi_description){.kind = &cloudapi_eips, .set = "eip_set", .ids = "eips"});
}

const struct cloudapi_action cloudapi_eip_actions[] = {
    {"AllocateEips", allocate}, {"DescribeEips", describe}, {"ReleaseEips", release}, {NULL, NULL}};
