/* Load balancers, public addresses and the security group, call by call. */
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/cloud-controller-manager/ccm.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/qingcloud.h"

#define GROUP "k8s_lb_default_sg"
#define ALLOCATED "k8s_lb_allocate_eip"
#define HIDDEN "198.19" /* a load balancer's own machines; the addresses before them are its address */

enum { WAIT_S = 180, DEFAULT_NODES = 2, DEFAULT_BANDWIDTH = 2 };

static json_t *named(const json_t *set, const char *member, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach ((json_t *)set, i, one) {
        if (strcmp(text_at(one, member), name) == 0) {
            return one;
        }
    }
    return NULL;
}

static void attach_tags(const char *id, const char *type)
{
    json_t *pairs = json_array();
    size_t i;
    json_t *tag;
    _cleanup_free_ char *why = NULL;
    json_array_foreach (ccm.tags, i, tag) {
        json_array_append_new(pairs, json_pack("{sO ss ss}", "tag_id", tag, "resource_id", id, "resource_type", type));
    }
    json_t *parameters = json_pack("{so}", "resource_tag_pairs", pairs);
    if (json_array_size(ccm.tags) == 0) {
        json_decref(parameters);
        return;
    }
    _cleanup_json_ json_t *answer = qingcloud_call("AttachTags", parameters, &why);
}

static char *make_group(char **why)
{
    _cleanup_json_ json_t *made =
        qingcloud_call("CreateSecurityGroup", json_pack("{ss}", "security_group_name", GROUP), why);
    if (made == NULL) {
        return NULL;
    }
    const char *id = text_at(made, "security_group_id");
    attach_tags(id, "security_group");
    json_t *rules =
        json_pack("[{si ss ss ss ss},{si ss ss ss ss},{si ss ss ss ss}]", "priority", 0, "protocol", "icmp", "action",
                  "accept", "val1", "8", "val2", "0", "priority", 1, "protocol", "tcp", "action", "accept", "val1", "1",
                  "val2", "65535", "priority", 1, "protocol", "udp", "action", "accept", "val1", "1", "val2", "65535");
    _cleanup_json_ json_t *added =
        qingcloud_call("AddSecurityGroupRules", json_pack("{ss so}", "security_group", id, "rules", rules), why);
    _cleanup_json_ json_t *applied =
        added == NULL ? NULL : qingcloud_call("ApplySecurityGroup", json_pack("{ss}", "security_group", id), why);
    return applied != NULL && qingcloud_wait(text_at(applied, "job_id"), why) ? xstrdup(id) : NULL;
}

void cloud_begin(void)
{
    _cleanup_free_ char *why = NULL;
    _cleanup_json_ json_t *keys =
        qingcloud_call("DescribeAccessKeys", json_pack("{s[s]}", "access_keys", qingcloud_key()), &why);
    const json_t *set = json_object_get(keys, "access_key_set");
    if (json_array_size(set) == 0) {
        fail("could not init cloud provider \"qingcloud\": failed to get user id, err=%s", why == NULL ? "" : why);
    }
    ccm.user = xstrdup(text_at(json_array_get(set, 0), "owner"));
    _cleanup_json_ json_t *groups =
        qingcloud_call("DescribeSecurityGroups", json_pack("{ss ss}", "search_word", GROUP, "owner", ccm.user), &why);
    const json_t *there = named(json_object_get(groups, "security_group_set"), "security_group_name", GROUP);
    ccm.security_group = there != NULL    ? xstrdup(text_at(there, "security_group_id"))
                         : groups != NULL ? make_group(&why)
                                          : NULL;
    if (ccm.security_group == NULL) {
        fail("could not init cloud provider \"qingcloud\": %s", why);
    }
}

static json_t *describe(json_t *parameters, char **why)
{
    json_t *answer = qingcloud_call("DescribeLoadBalancers", parameters, why);
    if (answer == NULL && strstr(*why, "Code (1300)") != NULL) { /* an expired request counts as: there is none */
        free(STEAL(*why));
    }
    return answer;
}

json_t *balancer_find(const struct balancer_config *config, char **why)
{
    if (!str_empty(config->reuse)) {
        _cleanup_json_ json_t *answer =
            describe(json_pack("{s[s] si}", "loadbalancers", config->reuse, "verbose", 2), why);
        return json_incref(json_array_get(json_object_get(answer, "loadbalancer_set"), 0));
    }
    if (config->name == NULL) {
        *why = xstrdup("cannot found loadbalance id or name");
        return NULL;
    }
    _cleanup_json_ json_t *answer = describe(json_pack("{s[sss] ss ss si}", "status", "pending", "active", "stopped",
                                                       "search_word", config->name, "owner", ccm.user, "verbose", 1),
                                             why);
    return json_incref(named(json_object_get(answer, "loadbalancer_set"), "loadbalancer_name", config->name));
}

/* The first public address that is free, or a new one; NULL with *WHY. The caller frees. */
static char *pick_eip(const char *source, char **why)
{
    if (strcmp(source, "allocate") != 0) {
        _cleanup_json_ json_t *answer =
            qingcloud_call("DescribeEips", json_pack("{ss s[s]}", "owner", ccm.user, "status", "available"), why);
        size_t i;
        json_t *one;
        json_array_foreach (json_object_get(answer, "eip_set"), i, one) {
            if (json_integer_value(json_object_get(one, "associate_mode")) == 0) {
                return xstrdup(text_at(one, "eip_id"));
            }
        }
        if (answer == NULL || strcmp(source, "use-available") == 0) {
            *why = *why != NULL ? *why : xstrdup("no avaliable eips");
            return NULL;
        }
    }
    _cleanup_json_ json_t *made = qingcloud_call(
        "AllocateEips", json_pack("{si ss}", "bandwidth", DEFAULT_BANDWIDTH, "eip_name", ALLOCATED), why);
    const char *id = json_string_value(json_array_get(json_object_get(made, "eips"), 0));
    for (long end = now_s() + WAIT_S; id != NULL && now_s() < end;) {
        (void)sleep(1);
        _cleanup_json_ json_t *answer = qingcloud_call("DescribeEips", json_pack("{s[s]}", "eips", id), why);
        if (answer == NULL) {
            return NULL;
        }
        if (strcmp(text_at(json_array_get(json_object_get(answer, "eip_set"), 0), "status"), "available") == 0) {
            attach_tags(id, "eip");
            return xstrdup(id);
        }
    }
    *why = *why != NULL ? *why : xasprintf("eip %s still not available", id == NULL ? "" : id);
    return NULL;
}

bool eips_prepare(struct balancer_config *config, char **why)
{
    if (config->eips[0] != NULL || config->eip_source == NULL) {
        return true;
    }
    _cleanup_free_ char *id = pick_eip(config->eip_source, why);
    if (id != NULL) {
        strv_push(&config->eips, id);
    }
    return id != NULL;
}

static json_t *await_active(const char *id, char **why)
{
    for (long end = now_s() + WAIT_S; now_s() < end;) {
        (void)sleep(1);
        _cleanup_free_ char *unheard = NULL;
        _cleanup_json_ json_t *answer =
            qingcloud_call("DescribeLoadBalancers", json_pack("{s[s]}", "loadbalancers", id), &unheard);
        json_t *one = json_array_get(json_object_get(answer, "loadbalancer_set"), 0);
        if (strcmp(text_at(one, "status"), "active") == 0 && text_at(one, "transition_status")[0] == '\0') {
            return json_incref(one);
        }
    }
    *why = xasprintf("failed to wait lb %s to active", id);
    return NULL;
}

json_t *balancer_create(const struct balancer_config *config, char **why)
{
    if (config->vxnet == NULL && config->eips[0] == NULL) {
        *why = xstrdup("failed to create loadbalance err=need vxnet or eip");
        return NULL;
    }
    json_t *eips = json_array();
    for (char **eip = config->eips; *eip != NULL; eip++) {
        json_array_append_new(eips, json_string(*eip));
    }
    json_t *parameters =
        json_pack("{so ss sI sI ss si ss? ss?}", "eips", eips, "loadbalancer_name", config->name, "loadbalancer_type",
                  (json_int_t)(config->type < 0 ? 0 : config->type), "node_count",
                  (json_int_t)(config->nodes < 0 ? DEFAULT_NODES : config->nodes), "security_group", ccm.security_group,
                  "mode", 1, "vxnet", config->vxnet, "private_ip", config->address);
    _cleanup_json_ json_t *made = qingcloud_call("CreateLoadBalancer", parameters, why);
    if (made == NULL) {
        _cleanup_free_ char *error = STEAL(*why);
        *why = xasprintf("failed to create loadbalance err=failed to create lb, err=%s", error);
        return NULL;
    }
    json_t *balancer = await_active(text_at(made, "loadbalancer_id"), why);
    if (balancer != NULL) {
        attach_tags(text_at(made, "loadbalancer_id"), "loadbalancer");
    }
    return balancer;
}

bool balancer_modify(const struct balancer_config *config, const json_t *balancer, bool *changed, char **why)
{
    bool has_address = config->address == NULL;
    bool has_nodes =
        config->nodes < 0 || json_integer_value(json_object_get(balancer, "node_count")) == (json_int_t)config->nodes;
    size_t i;
    json_t *address;
    json_array_foreach (json_object_get(balancer, "private_ips"), i, address) {
        has_address = has_address || strcmp(json_string_value(address), config->address) == 0;
    }
    *changed = !has_address || !has_nodes;
    if (!*changed) {
        return true;
    }
    json_t *parameters = json_pack("{ss}", "loadbalancer", text_at(balancer, "loadbalancer_id"));
    if (!has_nodes) {
        json_object_set_new(parameters, "node_count", json_integer(config->nodes));
    }
    if (!has_address) {
        json_object_set_new(parameters, "private_ip", json_string(config->address));
    }
    _cleanup_json_ json_t *answer = qingcloud_call("ModifyLoadBalancerAttributes", parameters, why);
    return answer != NULL;
}

/* It looks at the load balancer first, and updates whatever it sees: is_applied is lost on the way there. */
bool balancer_update(const char *id, char **why)
{
    _cleanup_json_ json_t *seen = describe(json_pack("{s[s] si}", "loadbalancers", id, "verbose", 2), why);
    if (json_array_size(json_object_get(seen, "loadbalancer_set")) == 0) {
        *why = *why != NULL ? *why : xasprintf("failed get lb %s when update lb", id);
        return false;
    }
    _cleanup_json_ json_t *answer =
        qingcloud_call("UpdateLoadBalancers", json_pack("{s[s]}", "loadbalancers", id), why);
    return answer != NULL && qingcloud_wait(text_at(answer, "job_id"), why);
}

/* A call that is made again while the cloud denies it: something is on its way still. */
static json_t *call_until_allowed(const char *action, json_t *parameters, char **why)
{
    _cleanup_json_ json_t *taken = parameters;
    for (long end = now_s() + WAIT_S; now_s() < end;) {
        (void)sleep(1);
        json_t *answer = qingcloud_call(action, json_incref(taken), why);
        if (answer != NULL || strstr(*why, "Code (1400)") == NULL) {
            return answer;
        }
        free(STEAL(*why));
    }
    *why = xasprintf("%s: Wait timeout [%ds]", action, WAIT_S);
    return NULL;
}

bool balancer_delete(const json_t *balancer, char **why)
{
    const char *id = text_at(balancer, "loadbalancer_id");
    json_t *own = json_array(); /* public addresses that were allocated for it */
    size_t i;
    json_t *eip;
    json_array_foreach (json_object_get(balancer, "cluster"), i, eip) {
        if (strcmp(text_at(eip, "eip_name"), ALLOCATED) == 0) {
            json_array_append(own, json_object_get(eip, "eip_id"));
        }
    }
    _cleanup_json_ json_t *release = json_pack("{so}", "eips", own);
    _cleanup_json_ json_t *deleted =
        call_until_allowed("DeleteLoadBalancers", json_pack("{s[s]}", "loadbalancers", id), why);
    if (deleted == NULL && strstr(*why, "Code (2100)") != NULL) {
        free(STEAL(*why));
    } else if (deleted == NULL) {
        return false;
    }
    if (json_array_size(own) == 0) {
        return true;
    }
    _cleanup_json_ json_t *released = call_until_allowed("ReleaseEips", json_incref(release), why);
    return released != NULL && qingcloud_wait(text_at(released, "job_id"), why);
}

json_t *balancer_ingress(const json_t *balancer)
{
    json_t *list = json_array();
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(balancer, "private_ips"), i, one) {
        if (strncmp(json_string_value(one), HIDDEN, strlen(HIDDEN)) == 0) {
            break;
        }
        json_array_append_new(list, json_pack("{sO}", "ip", one));
    }
    json_array_foreach (json_object_get(balancer, "cluster"), i, one) {
        if (text_at(one, "eip_id")[0] != '\0') {
            json_array_append_new(list, json_pack("{ss}", "ip", text_at(one, "eip_addr")));
        }
    }
    return list;
}
