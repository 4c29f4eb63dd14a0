/* Addresses of a vxnet that somebody reserves, and the cluster that asks for them. */
#include <arpa/inet.h>
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

static const struct cloudapi_kind vips = {"vips", "vip", "vip-", "vip_id", "vip_name", 2000};
static const struct cloudapi_kind clusters = {"clusters", "cluster", "cl-", "cluster_id", "name", 20};

static bool parse(const char *text, uint32_t *address)
{
    struct in_addr in;
    bool good = inet_pton(AF_INET, text, &in) == 1;
    *address = good ? ntohl(in.s_addr) : 0;
    return good;
}

/* "192.168.101.2-192.168.101.242" */
static bool parse_range(const char *text, uint32_t *first, uint32_t *last)
{
    const char *dash = text == NULL ? NULL : strchr(text, '-');
    _cleanup_free_ char *begin = dash == NULL ? xstrdup("") : xstrndup(text, (size_t)(dash - text));
    return parse(begin, first) && parse(dash + 1, last) && *last >= *first && *last - *first < 65536;
}

static bool taken(const struct cloudapi_call *call, const char *vxnet, const char *address)
{
    size_t i = 0;
    json_t *vip;
    json_array_foreach (cloudapi_all(call, vips.list), i, vip) {
        if (strcmp(json_text_or(vip, "vxnet_id", ""), vxnet) == 0 &&
            strcmp(json_text_or(vip, "vip_addr", ""), address) == 0) {
            return true;
        }
    }
    return false;
}

static char *text_of(uint32_t address)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr in = {htonl(address)};
    return xstrdup(inet_ntop(AF_INET, &in, text, sizeof text));
}

static json_t *refuse_taken(const struct cloudapi_call *call, const char *vxnet, uint32_t first, uint32_t last)
{
    for (uint32_t address = first; address <= last; address++) {
        _cleanup_free_ char *text = text_of(address);
        if (taken(call, vxnet, text)) {
            return cloudapi_refuse(RET_DENIED, "PermissionDenied, address [%s] is already in use", text);
        }
    }
    return NULL;
}

static json_t *allocate_vips(struct cloudapi_call *call)
{
    long count = 1;
    uint32_t first = 0;
    uint32_t last = 0;
    uint32_t low = 0;
    uint32_t high = 0;
    const char *id = cloudapi_text(call, "vxnet_id");
    const json_t *vxnet = cloudapi_vxnet(call, id);
    const json_t *router = json_object_get(vxnet, "router");
    if (vxnet == NULL) {
        return cloudapi_not_found(id == NULL ? "" : id);
    }
    if (!parse_range(cloudapi_text(call, "vip_range"), &first, &last) ||
        !parse(json_text_or(router, "dyn_ip_start", ""), &low) ||
        !parse(json_text_or(router, "dyn_ip_end", ""), &high) || first < low || last > high) {
        return cloudapi_invalid("vip_range");
    }
    if (!cloudapi_number(call, "count", 1, (long)(last - first) + 1, &count)) {
        return cloudapi_invalid("count");
    }
    json_t *refusal = cloudapi_quota(call, &vips, count);
    refusal = refusal == NULL ? refuse_taken(call, id, first, last) : refusal;
    if (refusal != NULL) {
        return refusal;
    }
    json_t *ids = json_array();
    json_t *changes = json_array();
    for (long i = 0; i < count; i++) {
        _cleanup_free_ char *address = text_of(first + (uint32_t)i);
        json_t *vip = cloudapi_add(call, &vips, json_pack("{s:s, s:s}", "vip_addr", address, "vxnet_id", id),
                                   cloudapi_text(call, "vip_name"), NULL);
        json_array_append(ids, json_object_get(vip, "vip_id"));
    }
    return cloudapi_done(json_pack("{s:o, s:s}", "vips", ids, "job_id", cloudapi_job(call, changes)));
}

static json_t *release_vips(struct cloudapi_call *call)
{
    _cleanup_strv_ char **ids = cloudapi_list(call, "vips");
    if (ids[0] == NULL) {
        return cloudapi_invalid("vips");
    }
    for (char **id = ids; *id != NULL; id++) {
        if (cloudapi_find(call, &vips, *id) == NULL) {
            return cloudapi_not_found(*id);
        }
    }
    for (char **id = ids; *id != NULL; id++) {
        cloudapi_drop(call, &vips, *id);
    }
    return cloudapi_done(json_pack("{s:s}", "job_id", cloudapi_job(call, json_array())));
}

static json_t *describe_vips(struct cloudapi_call *call)
{
    return cloudapi_describe(
        call, &(struct cloudapi_description){.kind = &vips,
                                             .set = "vip_set",
                                             .ids = "vips",
                                             .filters = {{"vxnets", "vxnet_id"}, {"vip_name", "vip_name"}}});
}

/* Each cluster has a firewall of its own, from when it is first looked at. */
static const char *firewall_of(struct cloudapi_call *call, const char *cluster)
{
    size_t i = 0;
    json_t *group;
    json_array_foreach (cloudapi_all(call, cloudapi_firewalls.list), i, group) {
        if (strcmp(json_text_or(group, "_cluster", ""), cluster) == 0) {
            return json_text(group, "security_group_id");
        }
    }
    group = cloudapi_add(call, &cloudapi_firewalls, json_pack("{s:s, s:i}", "_cluster", cluster, "is_applied", 1),
                         cluster, NULL);
    return json_text(group, "security_group_id");
}

static void render_cluster(const struct cloudapi_call *call, json_t *entry)
{
    const char *id = json_text_or(entry, "cluster_id", "");
    json_object_set_new(entry, "security_group_id", json_string(firewall_of((struct cloudapi_call *)call, id)));
    json_object_set_new(entry, "status", json_string("active"));
}

static json_t *describe_clusters(struct cloudapi_call *call)
{
    return cloudapi_describe(call,
                             &(struct cloudapi_description){
                                 .kind = &clusters, .set = "cluster_set", .ids = "clusters", .render = render_cluster});
}

const struct cloudapi_action cloudapi_vip_actions[] = {{"AllocateVips", allocate_vips},
                                                       {"ReleaseVips", release_vips},
                                                       {"DescribeVips", describe_vips},
                                                       {"DescribeClusters", describe_clusters},
                                                       {NULL, NULL}};
