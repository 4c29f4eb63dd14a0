/* Load balancers: docs.qingcloud.com/product/api/action/lb. What is changed in one counts after UpdateLoadBalancers. */
#include <stdio.h>
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

enum { FIRST_HOST = 240, LAST_HOST = 254, MOST_EIPS = 4, MOST_TYPE = 5 };

/* The two machines of a load balancer, as every one shows them: in no user's network. */
static const char *const hidden[] = {"198.19.1.1", "198.19.1.2"};

static bool has_vxnet(const struct cloudapi_call *call, const char *id)
{
    size_t i = 0;
    json_t *vxnet;
    json_array_foreach (json_object_get(call->data, "vxnets"), i, vxnet) {
        if (strcmp(json_text_or(vxnet, "vxnet_id", ""), id) == 0) {
            return true;
        }
    }
    return false;
}

static bool address_used(const struct cloudapi_call *call, const char *address)
{
    size_t i = 0;
    json_t *balancer;
    json_array_foreach (cloudapi_all(call, cloudapi_balancers.list), i, balancer) {
        const char *own = json_string_value(json_array_get(json_object_get(balancer, "private_ips"), 0));
        if (!cloudapi_is_deleted(balancer) && own != NULL && strcmp(own, address) == 0) {
            return true;
        }
    }
    return false;
}

/* In the vxnet: the one that is asked for, or the next free one. NULL with the refusal. */
static char *private_address(const struct cloudapi_call *call, json_t **refusal)
{
    const char *network = json_text_or(call->data, "lb_network", "192.168.100");
    const char *wanted = cloudapi_text(call, "private_ip");
    if (!str_empty(wanted)) {
        if (!str_starts(wanted, network) || wanted[strlen(network)] != '.') {
            *refusal = cloudapi_invalid("private_ip");
        } else if (address_used(call, wanted)) {
            *refusal = cloudapi_refuse(RET_DENIED, "PermissionDenied, private ip [%s] is already used", wanted);
        }
        return *refusal == NULL ? xstrdup(wanted) : NULL;
    }
    for (int host = FIRST_HOST; host <= LAST_HOST; host++) {
        char *address = xasprintf("%s.%d", network, host);
        if (!address_used(call, address)) {
            return address;
        }
        free(address);
    }
    *refusal = cloudapi_refuse(RET_DENIED, "PermissionDenied, no private ip left in the vxnet");
    return NULL;
}

/* NULL when the public addresses of the call may be used, else the refusal. */
static json_t *check_eips(const struct cloudapi_call *call, char *const *eips)
{
    if (strv_length(eips) > MOST_EIPS) {
        return cloudapi_invalid("eips");
    }
    for (char *const *id = eips; *id != NULL; id++) {
        const json_t *eip = cloudapi_find(call, &cloudapi_eips, *id);
        if (eip == NULL) {
            return cloudapi_not_found(*id);
        }
        if (strcmp(json_text_or(eip, "status", ""), "available") != 0) {
            return cloudapi_refuse(RET_DENIED,
                                   "PermissionDenied, the status of resource [%s] is [%s], it should be [available]",
                                   *id, json_text_or(eip, "status", ""));
        }
    }
    return NULL;
}

static json_t *check_create(struct cloudapi_call *call, char *const *eips)
{
    long number = 0;
    const char *vxnet = cloudapi_text(call, "vxnet");
    const char *firewall = cloudapi_text(call, "security_group");
    json_t *refusal = check_eips(call, eips);
    if (refusal != NULL) {
        return refusal;
    }
    if (eips[0] == NULL && str_empty(vxnet)) {
        return cloudapi_refuse(RET_FORMAT, "InvalidRequestFormat, one of [eips] and [vxnet] is needed");
    }
    if (!str_empty(vxnet) && !has_vxnet(call, vxnet)) {
        return cloudapi_not_found(vxnet);
    }
    if (!str_empty(firewall) && cloudapi_find(call, &cloudapi_firewalls, firewall) == NULL) {
        return cloudapi_not_found(firewall);
    }
    if (!cloudapi_number(call, "loadbalancer_type", 0, MOST_TYPE, &number)) {
        return cloudapi_invalid("loadbalancer_type");
    }
    return cloudapi_number(call, "node_count", 1, 16, &number) ? cloudapi_quota(call, &cloudapi_balancers, 1)
                                                               : cloudapi_invalid("node_count");
}

static json_t *new_balancer(struct cloudapi_call *call, char *const *eips, const char *address)
{
    long type = 0;
    long nodes = 1;
    (void)cloudapi_number(call, "loadbalancer_type", 0, MOST_TYPE, &type);
    (void)cloudapi_number(call, "node_count", 1, 16, &nodes);
    json_t *ips = json_array();
    if (address != NULL) {
        json_array_append_new(ips, json_string(address));
    }
    for (size_t i = 0; i < ELEMENTS(hidden); i++) {
        json_array_append_new(ips, json_string(hidden[i]));
    }
    json_t *ids = json_array();
    for (char *const *id = eips; *id != NULL; id++) {
        json_array_append_new(ids, json_string(*id));
    }
    const char *vxnet = cloudapi_text(call, "vxnet");
    const char *firewall = cloudapi_text(call, "security_group");
    json_t *members =
        json_pack("{s:I, s:I, s:i, s:o, s:o, s:s, s:s, s:[]}", "loadbalancer_type", (json_int_t)type, "node_count",
                  (json_int_t)nodes, "is_applied", 1, "private_ips", ips, "_eips", ids, "vxnet_id",
                  vxnet == NULL ? "" : vxnet, "security_group_id", firewall == NULL ? "" : firewall, "tags");
    json_t *balancer = cloudapi_add(call, &cloudapi_balancers, members, cloudapi_text(call, "loadbalancer_name"), NULL);
    cloudapi_status(call, balancer, "pending", "creating");
    return balancer;
}

static json_t *create_balancer(struct cloudapi_call *call)
{
    _cleanup_strv_ char **eips = cloudapi_list(call, "eips");
    json_t *refusal = check_create(call, eips);
    if (refusal != NULL) {
        return refusal;
    }
    _cleanup_free_ char *address = str_empty(cloudapi_text(call, "vxnet")) ? NULL : private_address(call, &refusal);
    if (refusal != NULL) {
        return refusal;
    }
    json_t *balancer = new_balancer(call, eips, address);
    const char *id = json_text(balancer, "loadbalancer_id");
    json_t *changes =
        json_pack("[o]", cloudapi_change(&cloudapi_balancers, id,
                                         json_pack("{s:s, s:s}", "status", "active", "transition_status", ""),
                                         json_pack("{s:s, s:s}", "status", "ceased", "transition_status", "")));
    for (char **eip = eips; *eip != NULL; eip++) {
        cloudapi_status(call, cloudapi_find(call, &cloudapi_eips, *eip), "associated", "associating");
        json_array_append_new(changes,
                              cloudapi_change(&cloudapi_eips, *eip,
                                              json_pack("{s:s, s:{s:s, s:s}}", "transition_status", "", "resource",
                                                        "resource_id", id, "resource_type", "loadbalancer"),
                                              json_pack("{s:s, s:s}", "status", "available", "transition_status", "")));
    }
    return cloudapi_done(json_pack("{s:s, s:s}", "loadbalancer_id", id, "job_id", cloudapi_job(call, changes)));
}

static json_t *busy(const json_t *balancer)
{
    const char *transition = json_text_or(balancer, "transition_status", "");
    return transition[0] == '\0'
               ? NULL
               : cloudapi_refuse(RET_DENIED, "PermissionDenied, resource [%s] is [%s], please try later",
                                 json_text_or(balancer, "loadbalancer_id", ""), transition);
}

/* The load balancers of a call, in *BALANCERS; NULL, or the refusal. */
static json_t *named(struct cloudapi_call *call, json_t **balancers)
{
    _cleanup_strv_ char **ids = cloudapi_list(call, "loadbalancers");
    *balancers = json_array();
    for (char **id = ids; *id != NULL; id++) {
        json_t *balancer = cloudapi_find(call, &cloudapi_balancers, *id);
        json_t *refusal = balancer == NULL ? cloudapi_not_found(*id) : busy(balancer);
        if (refusal != NULL) {
            return refusal;
        }
        json_array_append(*balancers, balancer);
    }
    return ids[0] == NULL ? cloudapi_invalid("loadbalancers") : NULL;
}

static json_t *update_balancers(struct cloudapi_call *call)
{
    _cleanup_json_ json_t *balancers = NULL;
    json_t *refusal = named(call, &balancers);
    if (refusal != NULL) {
        return refusal;
    }
    json_t *changes = json_array();
    size_t i = 0;
    json_t *balancer;
    json_array_foreach (balancers, i, balancer) {
        cloudapi_status(call, balancer, json_text_or(balancer, "status", ""), "updating");
        json_array_append_new(changes,
                              cloudapi_change(&cloudapi_balancers, json_text(balancer, "loadbalancer_id"),
                                              json_pack("{s:i, s:s}", "is_applied", 1, "transition_status", ""),
                                              json_pack("{s:s}", "transition_status", "")));
    }
    return cloudapi_done(json_pack("{s:s}", "job_id", cloudapi_job(call, changes)));
}

static void delete_one(struct cloudapi_call *call, json_t *balancer, json_t *changes)
{
    const char *id = json_text_or(balancer, "loadbalancer_id", "");
    cloudapi_status(call, balancer, json_text_or(balancer, "status", ""), "deleting");
    json_array_append_new(changes,
                          cloudapi_change(&cloudapi_balancers, id,
                                          json_pack("{s:s, s:s}", "status", "deleted", "transition_status", ""),
                                          json_pack("{s:s}", "transition_status", "")));
    size_t i = 0;
    json_t *eip;
    json_array_foreach (json_object_get(balancer, "_eips"), i, eip) {
        json_array_append_new(changes,
                              cloudapi_change(&cloudapi_eips, json_string_value(eip),
                                              json_pack("{s:s, s:n}", "status", "available", "resource"), NULL));
    }
    cloudapi_drop_listeners(call, "loadbalancer_id", id);
}

static json_t *delete_balancers(struct cloudapi_call *call)
{
    _cleanup_json_ json_t *balancers = NULL;
    json_t *refusal = named(call, &balancers);
    if (refusal != NULL) {
        return refusal;
    }
    json_t *changes = json_array();
    size_t i = 0;
    json_t *balancer;
    json_array_foreach (balancers, i, balancer) {
        delete_one(call, balancer, changes);
    }
    return cloudapi_done(json_pack("{s:s}", "job_id", cloudapi_job(call, changes)));
}

static json_t *modify_balancer(struct cloudapi_call *call)
{
    const char *id = cloudapi_text(call, "loadbalancer");
    json_t *balancer = cloudapi_find(call, &cloudapi_balancers, id);
    long nodes = -1;
    if (balancer == NULL) {
        return id == NULL ? cloudapi_invalid("loadbalancer") : cloudapi_not_found(id);
    }
    if (!cloudapi_number(call, "node_count", 1, 16, &nodes)) {
        return cloudapi_invalid("node_count");
    }
    const char *address = cloudapi_text(call, "private_ip");
    json_t *ips = json_object_get(balancer, "private_ips");
    if (!str_empty(address) && strcmp(json_string_value(json_array_get(ips, 0)), address) != 0) {
        json_t *refusal = NULL;
        _cleanup_free_ char *other = private_address(call, &refusal);
        if (other == NULL) {
            return refusal;
        }
        json_array_set_new(ips, 0, json_string(other));
    }
    if (nodes > 0) {
        json_object_set_new(balancer, "node_count", json_integer(nodes));
    }
    if (cloudapi_text(call, "loadbalancer_name") != NULL) {
        json_object_set_new(balancer, "loadbalancer_name", json_string(cloudapi_text(call, "loadbalancer_name")));
    }
    json_object_set_new(balancer, "is_applied", json_integer(0));
    return cloudapi_done(NULL);
}

static void render(const struct cloudapi_call *call, json_t *entry)
{
    const json_t *own = cloudapi_find(call, &cloudapi_balancers, json_text(entry, "loadbalancer_id"));
    json_t *eips = json_array();
    size_t i = 0;
    json_t *id;
    json_array_foreach (json_object_get(own, "_eips"), i, id) {
        const json_t *eip = cloudapi_find(call, &cloudapi_eips, json_string_value(id));
        json_array_append_new(eips,
                              json_pack("{s:O, s:s, s:s}", "eip_id", id, "eip_name", json_text_or(eip, "eip_name", ""),
                                        "eip_addr", json_text_or(eip, "eip_addr", "")));
    }
    json_object_set(entry, "cluster", eips);
    json_object_set_new(entry, "eips", eips);
    long verbose = 0;
    if (cloudapi_number(call, "verbose", 0, 2, &verbose) && verbose > 0) {
        json_object_set_new(entry, "listeners",
                            cloudapi_listeners_of(call, json_text_or(entry, "loadbalancer_id", "")));
    }
}

static json_t *describe_balancers(struct cloudapi_call *call)
{
    return cloudapi_describe(
        call, &(struct cloudapi_description){
                  .kind = &cloudapi_balancers, .set = "loadbalancer_set", .ids = "loadbalancers", .render = render});
}

/* The backends of a listener that machines are, with their addresses. */
static json_t *machines_of(const struct cloudapi_call *call, const json_t *listener)
{
    json_t *list = json_array();
    size_t i = 0;
    json_t *backend;
    json_array_foreach (json_object_get(listener, "backends"), i, backend) {
        const char *ip = json_text(cloudapi_instance(call, json_text(backend, "resource_id")), "_ip");
        if (ip != NULL) {
            json_array_append_new(list, json_pack("{s:s, s:O}", "ip", ip, "port", json_object_get(backend, "port")));
        }
    }
    return list;
}

static void put_served(const struct cloudapi_call *call, const json_t *balancer, const char *address, json_t *served)
{
    size_t i = 0;
    json_t *listener;
    json_array_foreach (json_object_get(balancer, "_served"), i, listener) {
        json_array_append_new(served, json_pack("{s:s, s:O, s:s, s:o}", "address", address, "port",
                                                json_object_get(listener, "listener_port"), "protocol",
                                                json_text_or(listener, "listener_protocol", ""), "backends",
                                                machines_of(call, listener)));
    }
}

json_t *cloudapi_served(const struct cloudapi_call *call)
{
    json_t *served = json_array();
    size_t i = 0;
    size_t k = 0;
    json_t *balancer;
    json_t *eip;
    json_array_foreach (cloudapi_all(call, cloudapi_balancers.list), i, balancer) {
        if (strcmp(json_text_or(balancer, "status", ""), "active") != 0) {
            continue;
        }
        if (json_integer_value(json_object_get(balancer, "is_applied")) == 1) {
            json_object_set_new(balancer, "_served",
                                cloudapi_listeners_of(call, json_text_or(balancer, "loadbalancer_id", "")));
        }
        const char *first = json_string_value(json_array_get(json_object_get(balancer, "private_ips"), 0));
        if (first != NULL && strcmp(first, hidden[0]) != 0) {
            put_served(call, balancer, first, served);
        }
        json_array_foreach (json_object_get(balancer, "_eips"), k, eip) {
            struct cloudapi_call own = *call;
            own.user = json_text_or(balancer, "owner", "");
            const json_t *public = cloudapi_find(&own, &cloudapi_eips, json_string_value(eip));
            put_served(call, balancer, json_text_or(public, "eip_addr", ""), served);
        }
    }
    return served;
}

const struct cloudapi_action cloudapi_balancer_actions[] = {
    {"CreateLoadBalancer", create_balancer},           {"DescribeLoadBalancers", describe_balancers},
    {"ModifyLoadBalancerAttributes", modify_balancer}, {"UpdateLoadBalancers", update_balancers},
    {"DeleteLoadBalancers", delete_balancers},         {NULL, NULL}};
