/* Stands for hostnic-controller v1.0 (yunify/hostnic-cni, cmd/controller): the vxnets of VxNetPool v-pool become
 * IPPools with their blocks, once the cloud holds their addresses as VIPs and the cluster's firewall lets them in. */
#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "tests/lab/images/hostnic/hostnic.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/yaml.h"

#define CLUSTER_CONF "/etc/kubernetes/qingcloud.yaml"
#define POOL GROUP "/vxnetpools/v-pool"
#define FINALIZER "finalizers.network.qingcloud.com/ippool"

enum { PERIOD_S = 2 }; /* the original: 10 */

static struct {
    json_t *conf;
    json_t *vxnets; /* by id, as cloud_vxnet */
    json_t *vips;   /* ids of those that have them */
    json_t *rules;
    json_t *jobs; /* of what was asked for and is not seen yet */
    char *firewall;
} us;

static size_t address_count(const char *first, const char *last)
{
    struct in_addr a;
    struct in_addr b;
    if (inet_pton(AF_INET, first, &a) != 1 || inet_pton(AF_INET, last, &b) != 1) {
        return 0;
    }
    return (size_t)ntohl(b.s_addr) - ntohl(a.s_addr) + 1;
}

static void find_vips(const json_t *vxnet)
{
    const char *id = text_at(vxnet, "ID");
    _cleanup_free_ char *name = xasprintf(NIC_PREFIX "%s", id);
    const char *const parameters[] = {"vip_name", name, "vxnets.1", id, "limit", "253", "offset", "0", NULL};
    _cleanup_json_ json_t *answer = cloud_call("DescribeVips", parameters, NULL);
    if (json_array_size(json_at(answer, "vip_set")) > 0) {
        json_object_set_new(us.vips, id, json_true());
    }
}

static bool find_firewall(void)
{
    const char *cluster = text_at(us.conf, "clusterID");
    const char *const parameters[] = {"clusters.1", cluster, NULL};
    _cleanup_json_ json_t *answer = cloud_call("DescribeClusters", parameters, NULL);
    const json_t *found = json_array_get(json_at(answer, "cluster_set"), 0);
    if (answer == NULL) {
        return false;
    }
    free(us.firewall);
    us.firewall = xstrdup(text_at(found, "security_group_id"));
    return true;
}

static void find_rule(const json_t *vxnet)
{
    const char *const parameters[] = {"security_group", us.firewall, "direction", "0", NULL};
    _cleanup_json_ json_t *answer = cloud_call("DescribeSecurityGroupRules", parameters, NULL);
    size_t i;
    json_t *rule;
    json_array_foreach (json_at(answer, "security_group_rule_set"), i, rule) {
        if (strcmp(text_at(rule, "val3"), text_at(vxnet, "Network")) == 0 &&
            strcmp(text_at(rule, "action"), "accept") == 0 && strcmp(text_at(rule, "protocol"), "all") == 0) {
            json_object_set_new(us.rules, text_at(vxnet, "ID"), json_true());
        }
    }
}

/* What the cloud has of what the pool names: in this order, ended by what fails. */
static void look_at_cloud(const json_t *pool)
{
    size_t i;
    json_t *named;
    const char *id;
    json_t *vxnet;
    json_array_foreach (json_at(pool, "spec vxnets"), i, named) {
        const char *name = text_at(named, "name");
        json_t *found = json_object_get(us.vxnets, name) == NULL ? cloud_vxnet(name, NULL) : NULL;
        if (found != NULL) {
            json_object_set_new(us.vxnets, name, found);
        }
    }
    json_object_foreach (us.vxnets, id, vxnet) {
        if (json_object_get(us.vips, id) == NULL) {
            find_vips(vxnet);
        }
    }
    if (!find_firewall() || us.firewall[0] == '\0') {
        return;
    }
    json_object_foreach (us.vxnets, id, vxnet) {
        if (json_object_get(us.rules, id) == NULL) {
            find_rule(vxnet);
        }
    }
}

static bool once(const char *what, const char *id)
{
    _cleanup_free_ char *key = xasprintf("%s|%s", what, id);
    bool first = json_object_get(us.jobs, key) == NULL;
    json_object_set_new(us.jobs, key, json_true());
    return first;
}

static void again(const char *what, const char *id)
{
    _cleanup_free_ char *key = xasprintf("%s|%s", what, id);
    json_object_del(us.jobs, key);
}

static void reserve_vips(const json_t *vxnet)
{
    const char *id = text_at(vxnet, "ID");
    const char *first = text_at(vxnet, "IPStart");
    const char *last = text_at(vxnet, "IPEnd");
    _cleanup_free_ char *name = xasprintf(NIC_PREFIX "%s", id);
    _cleanup_free_ char *range = xasprintf("%s-%s", first, last);
    _cleanup_free_ char *count = xasprintf("%zu", address_count(first, last));
    const char *const parameters[] = {"count", count, "vip_name", name, "vip_range", range, "vxnet_id", id, NULL};
    if (once("VIP", id)) {
        _cleanup_json_ json_t *answer = cloud_call("AllocateVips", parameters, NULL);
        if (answer == NULL) {
            again("VIP", id);
        }
    }
}

static void add_rule(const json_t *vxnet)
{
    const char *id = text_at(vxnet, "ID");
    _cleanup_free_ char *name = xasprintf(NIC_PREFIX "%s", id);
    const char *const parameters[] = {"security_group",
                                      us.firewall,
                                      "rules.1.action",
                                      "accept",
                                      "rules.1.direction",
                                      "0",
                                      "rules.1.priority",
                                      "0",
                                      "rules.1.protocol",
                                      "all",
                                      "rules.1.val3",
                                      text_at(vxnet, "Network"),
                                      "rules.1.security_group_rule_name",
                                      name,
                                      NULL};
    const char *const apply[] = {"security_group", us.firewall, NULL};
    if (once("SG", id)) {
        _cleanup_json_ json_t *answer = cloud_call("AddSecurityGroupRules", parameters, NULL);
        _cleanup_json_ json_t *applied = answer == NULL ? NULL : cloud_call("ApplySecurityGroup", apply, NULL);
        if (applied == NULL) {
            again("SG", id);
        }
    }
}

/* True once all of it is there. One thing is asked for at a time. */
static bool prepare_cloud(const json_t *pool)
{
    size_t i;
    json_t *named;
    json_array_foreach (json_at(pool, "spec vxnets"), i, named) {
        if (json_object_get(us.vxnets, text_at(named, "name")) == NULL) {
            note("vxnet %s not sync", text_at(named, "name"));
            return false;
        }
    }
    json_array_foreach (json_at(pool, "spec vxnets"), i, named) {
        if (json_object_get(us.vips, text_at(named, "name")) == NULL) {
            note("vips for vxnet %s not ready", text_at(named, "name"));
            reserve_vips(json_object_get(us.vxnets, text_at(named, "name")));
            return false;
        }
    }
    json_array_foreach (us.firewall == NULL || us.firewall[0] == '\0' ? NULL : json_at(pool, "spec vxnets"), i, named) {
        if (json_object_get(us.rules, text_at(named, "name")) == NULL) {
            note("SecurityGroupRule for vxnet %s not ready", text_at(named, "name"));
            add_rule(json_object_get(us.vxnets, text_at(named, "name")));
            return false;
        }
    }
    return true;
}

static json_t *make_pool(const char *name, const json_t *pool)
{
    const json_t *vxnet = json_object_get(us.vxnets, name);
    _cleanup_json_ json_t *object = json_pack(
        "{ss ss s{ss s[s] s{ss ss ss ss}} s{ss ss ss ss ss sO}}", "apiVersion", "network.qingcloud.com/v1alpha1",
        "kind", "IPPool", "metadata", "name", name, "finalizers", FINALIZER, "labels", "controller", name,
        "ippool.network.qingcloud.com/name", name, "ippool.network.qingcloud.com/type", "local",
        "ippool.network.qingcloud.com/id", "4100", "spec", "type", "local", "cidr", text_at(vxnet, "Network"),
        "gateway", text_at(vxnet, "Gateway"), "rangeStart", text_at(vxnet, "IPStart"), "rangeEnd",
        text_at(vxnet, "IPEnd"), "blockSize", json_at(pool, "spec blockSize"));
    json_t *made = NULL;
    if (cluster_call("POST", GROUP "/ippools", object, &made) != 201) {
        json_decref(made);
        return NULL;
    }
    note("ippool %s made", name);
    return made;
}

static bool put_status(const char *path, json_t *object, json_t *status)
{
    bool same = json_equal(json_at(object, "status"), status) != 0;
    _cleanup_free_ char *place = xasprintf("%s/status", path);
    json_object_set_new(object, "status", status);
    return same || cluster_call("PUT", place, object, NULL) == 200;
}

/* One vxnet's pool with its blocks and figures: what the VxNetPool's status says of it, or NULL. */
static json_t *prepare_pool(const char *name, const json_t *pool)
{
    _cleanup_free_ char *path = xasprintf(GROUP "/ippools/%s", name);
    _cleanup_json_ json_t *ippool = cluster_get(path);
    if (ippool == NULL) {
        ippool = make_pool(name, pool);
    }
    if (ippool == NULL || !ipam_make_blocks(ippool)) {
        return NULL;
    }
    _cleanup_json_ json_t *blocks = ipam_blocks(name);
    json_t *names = json_array();
    size_t i;
    json_t *block;
    json_array_foreach (blocks, i, block) {
        json_array_append_new(names, json_string(text_at(block, "metadata name")));
    }
    (void)put_status(path, ippool, ipam_usage(ippool));
    return json_pack("{ss ss so}", "name", name, "ippool", name, "subnets", names);
}

static void sync_pool(void)
{
    _cleanup_json_ json_t *pool = cluster_get(POOL);
    json_t *pools = json_array();
    size_t i;
    json_t *named;
    bool ready = false;
    if (pool != NULL && json_at(pool, "metadata deletionTimestamp") == NULL) {
        look_at_cloud(pool);
        ready = prepare_cloud(pool);
        json_array_foreach (ready ? json_at(pool, "spec vxnets") : NULL, i, named) {
            json_t *info = prepare_pool(text_at(named, "name"), pool);
            ready = ready && info != NULL;
            json_array_append_new(pools, info == NULL ? json_null() : info);
        }
        if (ready) {
            (void)put_status(POOL, pool, json_pack("{sO sb}", "pools", pools, "ready", 1));
        }
    }
    json_decref(pools);
}

static void read_conf(void)
{
    static const char *const known[] = {"zone",   "defaultVxNetForLB", "clusterID", "userID", "securityGroup", "isApp",
                                        "tagIDs", "instanceIDs",       NULL};
    us.conf = yaml_read(CLUSTER_CONF);
    check_keys(us.conf, known, CLUSTER_CONF);
    if (text_at(us.conf, "clusterID")[0] == '\0' || strcmp(text_at(us.conf, "zone"), cloud_zone()) != 0) {
        fail(CLUSTER_CONF ": clusterID is missing, or the zone is not that of the API's configuration");
    }
}

int controller_main(char **argv)
{
    struct flag flags[] = {KLOG_FLAGS, {NULL, FLAG_TEXT, false, NULL}};
    flags_parse(flags, argv);
    end_on_signals();
    note_open(flag_text(flags, "log_file"));
    cloud_setup();
    read_conf();
    cluster_open();
    us.vxnets = json_object();
    us.vips = json_object();
    us.rules = json_object();
    us.jobs = json_object();
    note("Starting hostnic-controller");
    for (;;) {
        sync_pool();
        (void)sleep(PERIOD_S);
    }
}
