#include "app/cloud/cloud_check.h"

#include <string.h>

#include "lib/core/json.h"

/* This host, and one of each role. */
static char **machines_of(const struct facts *facts)
{
    char **ids = NULL;
    strv_push(&ids, facts->self->instance_id);
    for (size_t i = 0; i < facts->n_hosts; i++) {
        bool first = i == 0 || strcmp(facts->hosts[i - 1].role, facts->hosts[i].role) != 0;
        if (first && &facts->hosts[i] != facts->self) {
            strv_push(&ids, facts->hosts[i].instance_id);
        }
    }
    return ids;
}

static json_t *classes_of(const struct facts *facts, const json_t *list)
{
    json_t *classes = json_object();
    size_t i = 0;
    json_t *entry;
    json_array_foreach (list, i, entry) {
        const char *id = json_text_or(entry, "instance_id", "");
        json_t *class = json_object_get(entry, "instance_class");
        for (size_t n = 0; n < facts->n_hosts && json_is_integer(class); n++) {
            if (strcmp(facts->hosts[n].instance_id, id) == 0) {
                json_object_set(classes, facts->hosts[n].role, class);
            }
        }
    }
    return classes;
}

/* The entry whose member KEY is ID; NULL: none. */
static const json_t *find_entry(const json_t *list, const char *key, const char *id)
{
    size_t i = 0;
    json_t *entry;
    json_array_foreach (list, i, entry) {
        if (strcmp(json_text_or(entry, key, ""), id) == 0) {
            return entry;
        }
    }
    return NULL;
}

int cloud_check_key(struct cloud *cloud, const struct facts *facts, struct deadline deadline, json_t **classes,
                    struct error **err)
{
    /* without it the API leaves out the machines of clusters */
    static const struct cloud_parameter clusters[] = {{"is_cluster_node", "1"}, {NULL, NULL}};
    _cleanup_strv_ char **ids = machines_of(facts);
    const char *self = facts->self->instance_id;
    _cleanup_json_ json_t *list = NULL;
    _cleanup_error_ struct error *why = NULL;
    const struct cloud_list machines = {"DescribeInstances", "instance_set", "instances", ids, clusters};
    if (cloud_describe(cloud, &machines, deadline, &list, &why) < 0) {
        return why->status != STATUS_CLOUD_UNREACHABLE
                   ? error_move(err, &why)
                   : error_new(
                         err, STATUS_CLOUD_UNREACHABLE,
                         "%s: make sure that an EIP is associated with the VPC, so that the vxnet reaches the API",
                         why->message);
    }
    if (find_entry(list, "instance_id", self) == NULL) {
        return error_new(err, STATUS_CLOUD_KEY,
                         "the API key is accepted, but does not see this host, %s: access_key_id must be a key of the "
                         "user who owns the cluster, of the same zone (%s)",
                         self, facts->cluster.zone);
    }
    if (classes != NULL) {
        *classes = classes_of(facts, list);
    }
    return 0;
}

static int check_present(const json_t *list, char *const *vxnets, struct error **err)
{
    _cleanup_buffer_ struct buffer absent = {0};
    for (; *vxnets != NULL; vxnets++) {
        if (find_entry(list, "vxnet_id", *vxnets) == NULL) {
            buffer_printf(&absent, " %s", *vxnets);
        }
    }
    return absent.len == 0
               ? 0
               : error_new(err, STATUS_VXNET_ABSENT, "the cloud has no vxnet%s: correct pod_vxnets", absent.data);
}

static int check_vpc(const json_t *list, const char *cluster_vxnet, char *const *vxnets, struct error **err)
{
    const char *vpc = json_text_or(find_entry(list, "vxnet_id", cluster_vxnet), "vpc_router_id", "");
    if (*vpc == '\0') {
        return error_new(err, STATUS_VXNET_VPC, "the cluster's vxnet %s is in no VPC: join it to one", cluster_vxnet);
    }
    _cleanup_buffer_ struct buffer outside = {0};
    for (; *vxnets != NULL; vxnets++) {
        const char *own = json_text_or(find_entry(list, "vxnet_id", *vxnets), "vpc_router_id", "");
        if (strcmp(own, vpc) != 0) {
            buffer_printf(&outside, " %s (%s)", *vxnets, *own == '\0' ? "in no VPC" : own);
        }
    }
    return outside.len == 0
               ? 0
               : error_new(err, STATUS_VXNET_VPC, "the cluster's vxnet %s is in the VPC %s, these are not:%s",
                           cluster_vxnet, vpc, outside.data);
}

/* A router's ip_network is the vxnet's (DescribeVxnets). */
static int check_apart(const struct facts *facts, const json_t *list, char *const *vxnets, struct error **err)
{
    for (; *vxnets != NULL; vxnets++) {
        const json_t *router = json_object_get(find_entry(list, "vxnet_id", *vxnets), "router");
        if (facts_check_pod_vxnet(facts, *vxnets, json_text_or(router, "ip_network", ""), err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int check_addresses(const struct facts *facts, struct error **err)
{
    struct pod_addresses addresses = facts_pod_addresses(facts);
    if (addresses.have >= addresses.need) {
        return 0;
    }
    return error_new(err, STATUS_VXNET_ADDRESSES,
                     "%d nodes with %d pods each need %d addresses, the pod vxnets (%d) have %d: add one to pod_vxnets",
                     addresses.nodes, facts->parameters.max_pods, addresses.need, addresses.vxnets, addresses.have);
}

int cloud_check_vxnets(struct cloud *cloud, const struct facts *facts, struct deadline deadline, struct error **err)
{
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    _cleanup_strv_ char **all = facts_vxnets(facts);
    _cleanup_json_ json_t *list = NULL;
    if (!strv_contains(all, facts->cluster.vxnet)) {
        strv_push(&all, facts->cluster.vxnet);
    }
    const struct cloud_list wanted = {"DescribeVxnets", "vxnet_set", "vxnets", all, NULL};
    return cloud_describe(cloud, &wanted, deadline, &list, err) < 0 || check_present(list, vxnets, err) < 0 ||
                   check_vpc(list, facts->cluster.vxnet, vxnets, err) < 0 ||
                   check_apart(facts, list, vxnets, err) < 0 || check_addresses(facts, err) < 0
               ? -1
               : 0;
}
