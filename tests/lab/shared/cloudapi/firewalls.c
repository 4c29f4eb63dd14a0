/* Security groups, the cloud's firewalls, which count once they are applied. */
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

static json_t *create(struct cloudapi_call *call)
{
    if (str_empty(cloudapi_text(call, "security_group_name"))) {
        return cloudapi_invalid("security_group_name");
    }
    json_t *over = cloudapi_quota(call, &cloudapi_firewalls, 1);
    if (over != NULL) {
        return over;
    }
    json_t *members = json_pack("{s:i, s:i, s:[], s:[]}", "is_applied", 1, "is_default", 0, "resources", "tags");
    json_t *group = cloudapi_add(call, &cloudapi_firewalls, members, cloudapi_text(call, "security_group_name"), NULL);
    return cloudapi_done(json_pack("{s:O}", "security_group_id", json_object_get(group, "security_group_id")));
}

static json_t *group_of(struct cloudapi_call *call, json_t **refusal)
{
    const char *id = cloudapi_text(call, "security_group");
    json_t *group = cloudapi_find(call, &cloudapi_firewalls, id);
    if (group == NULL) {
        *refusal = id == NULL ? cloudapi_invalid("security_group") : cloudapi_not_found(id);
    }
    return group;
}

static bool rule_is_valid(const json_t *rule)
{
    static const char *const protocols[] = {"tcp", "udp", "icmp", "gre", "esp", "ah", "ipip", "all"};
    long priority = 0;
    bool known = false;
    for (size_t i = 0; i < ELEMENTS(protocols); i++) {
        known = known || strcmp(json_text_or(rule, "protocol", ""), protocols[i]) == 0;
    }
    const char *action = json_text_or(rule, "action", "");
    return known && str_number(json_text_or(rule, "priority", ""), 0, 100, &priority) &&
           (strcmp(action, "accept") == 0 || strcmp(action, "drop") == 0);
}

/* As the answers have it; 0 where the request has none. */
static void set_number(json_t *rule, const char *name)
{
    long number = 0;
    (void)str_number(json_text_or(rule, name, "0"), 0, 100, &number);
    json_object_set_new(rule, name, json_integer(number));
}

static json_t *add_rules(struct cloudapi_call *call)
{
    json_t *refusal = NULL;
    json_t *group = group_of(call, &refusal);
    _cleanup_json_ json_t *rules = cloudapi_objects(call, "rules");
    size_t i = 0;
    json_t *rule;
    if (group == NULL) {
        return refusal;
    }
    json_array_foreach (rules, i, rule) {
        if (!rule_is_valid(rule)) {
            return cloudapi_invalid("rules");
        }
    }
    json_t *ids = json_array();
    json_array_foreach (rules, i, rule) {
        json_t *members = json_deep_copy(rule);
        set_number(members, "priority");
        set_number(members, "direction");
        json_object_set(members, "security_group_id", json_object_get(group, "security_group_id"));
        json_t *made = cloudapi_add(call, &cloudapi_rules, members, json_text(rule, "security_group_rule_name"), NULL);
        json_array_append(ids, json_object_get(made, "security_group_rule_id"));
    }
    json_object_set_new(group, "is_applied", json_integer(0));
    return cloudapi_done(json_pack("{s:o}", "security_group_rules", ids));
}

static json_t *apply(struct cloudapi_call *call)
{
    json_t *refusal = NULL;
    json_t *group = group_of(call, &refusal);
    if (group == NULL) {
        return refusal;
    }
    json_t *changes = json_pack("[o]", cloudapi_change(&cloudapi_firewalls, json_text(group, "security_group_id"),
                                                       json_pack("{s:i}", "is_applied", 1), NULL));
    return cloudapi_done(json_pack("{s:s}", "job_id", cloudapi_job(call, changes)));
}

static bool used(const struct cloudapi_call *call, const char *id)
{
    size_t i = 0;
    json_t *balancer;
    json_array_foreach (cloudapi_all(call, cloudapi_balancers.list), i, balancer) {
        if (!cloudapi_is_deleted(balancer) && strcmp(json_text_or(balancer, "security_group_id", ""), id) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *delete_groups(struct cloudapi_call *call)
{
    _cleanup_strv_ char **ids = cloudapi_list(call, "security_groups");
    for (char **id = ids; *id != NULL; id++) {
        if (cloudapi_find(call, &cloudapi_firewalls, *id) == NULL) {
            return cloudapi_not_found(*id);
        }
        if (used(call, *id)) {
            return cloudapi_refuse(RET_DENIED, "PermissionDenied, security group [%s] is in use", *id);
        }
    }
    for (char **id = ids; *id != NULL; id++) {
        cloudapi_drop(call, &cloudapi_firewalls, *id);
    }
    return ids[0] == NULL ? cloudapi_invalid("security_groups") : cloudapi_done(NULL);
}

static json_t *describe(struct cloudapi_call *call)
{
    return cloudapi_describe(call, &(struct cloudapi_description){.kind = &cloudapi_firewalls,
                                                                  .set = "security_group_set",
                                                                  .ids = "security_groups"});
}

/* What a rule does not say is empty in the answer. */
static void render_rule(const struct cloudapi_call *call, json_t *entry)
{
    static const char *const values[] = {"val1", "val2", "val3"};
    (void)call;
    for (size_t i = 0; i < ELEMENTS(values); i++) {
        if (json_object_get(entry, values[i]) == NULL) {
            json_object_set_new(entry, values[i], json_string(""));
        }
    }
}

static json_t *describe_rules(struct cloudapi_call *call)
{
    return cloudapi_describe(call, &(struct cloudapi_description){
                                       .kind = &cloudapi_rules,
                                       .set = "security_group_rule_set",
                                       .ids = "security_group_rules",
                                       .filters = {{"security_group", "security_group_id"}, {"direction", "direction"}},
                                       .render = render_rule});
}

static json_t *delete_rules(struct cloudapi_call *call)
{
    _cleanup_strv_ char **ids = cloudapi_list(call, "security_group_rules");
    for (char **id = ids; *id != NULL; id++) {
        if (cloudapi_find(call, &cloudapi_rules, *id) == NULL) {
            return cloudapi_not_found(*id);
        }
    }
    for (char **id = ids; *id != NULL; id++) {
        cloudapi_drop(call, &cloudapi_rules, *id);
    }
    return ids[0] == NULL ? cloudapi_invalid("security_group_rules") : cloudapi_done(NULL);
}

const struct cloudapi_action cloudapi_firewall_actions[] = {{"DescribeSecurityGroupRules", describe_rules},
                                                            {"DeleteSecurityGroupRules", delete_rules},

                                                            {"CreateSecurityGroup", create},
                                                            {"AddSecurityGroupRules", add_rules},
                                                            {"ApplySecurityGroup", apply},
                                                            {"DescribeSecurityGroups", describe},
                                                            {"DeleteSecurityGroups", delete_groups},
                                                            {NULL, NULL}};
