#include "app/facts/facts.h"

#include <string.h>

#include "app/facts/facts_check.h"
#include "app/facts/facts_links.h"
#include "app/facts/parameters.h"
#include "lib/core/json.h"
#include "lib/core/syntax.h"
#include "lib/core/util.h"
#include "lib/crypto/ssh_key.h"

static int invalid(struct error **err, const char *path, const char *key, const char *needed)
{
    return error_new(err, STATUS_METADATA_INVALID, "metadata: %s/%s must be %s", path, key, needed);
}

/* Takes an identifier over; it goes into labels, names and paths, so it is held to their characters. */
static int take_id(char **field, const json_t *object, const char *path, const char *key, bool required,
                   struct error **err)
{
    const char *value = json_text(object, key);
    if (str_empty(value) && !required) {
        *field = xstrdup("");
        return 0;
    }
    if (value == NULL || !syntax_id(value)) {
        return invalid(err, path, key, "letters, digits and \"-_.\", 63 at most");
    }
    *field = xstrdup(value);
    return 0;
}

static bool one_line(const char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            return false;
        }
    }
    return true;
}

/* The agent's answer holds strings alone, but custom metadata in JSON may be kept as a tree. */
static char *token_text(const json_t *token)
{
    if (json_is_object(token)) {
        return json_dumps(token, JSON_COMPACT);
    }
    return str_empty(json_string_value(token)) ? NULL : xstrdup(json_string_value(token));
}

static int read_host(struct host *host, const struct host_role *is, const char *instance, const json_t *entry,
                     struct error **err)
{
    _cleanup_free_ char *path = xasprintf("/hosts/%s/%s", is->name, instance);
    host->role = xstrdup(is->name);
    host->is = is;
    if (!syntax_id(instance)) {
        return error_new(err, STATUS_METADATA_INVALID, "metadata: /hosts/%s holds an unusable instance id", is->name);
    }
    host->instance_id = xstrdup(instance);
    if (take_id(&host->node_id, entry, path, "node_id", true, err) < 0) {
        return -1;
    }
    const char *ip = json_text(entry, "ip");
    if (ip == NULL || !facts_host_address(ip)) {
        return invalid(err, path, "ip", "an IPv4 address that a host can have");
    }
    host->ip = xstrdup(ip);
    const char *sid = json_text(entry, "sid");
    if (sid == NULL || !syntax_number(sid, 1, 1000000, &host->sid)) {
        return invalid(err, path, "sid", "a number from 1");
    }
    const char *mac = json_text(entry, "mac");
    if (mac != NULL && !one_line(mac)) {
        return invalid(err, path, "mac", "one line");
    }
    host->mac = xstrdup(mac == NULL ? "" : mac);
    const char *pub_key = json_text(entry, "pub_key");
    _cleanup_error_ struct error *why = NULL;
    if (!str_empty(pub_key) && ssh_public_line(pub_key, &host->pub_key, &why) < 0) {
        return error_new(err, STATUS_METADATA_INVALID,
                         "metadata: %s/pub_key must be \"ssh-rsa BASE64\" and maybe a comment, without options: %s",
                         path, why->message);
    }
    host->token = token_text(json_object_get(entry, "token"));
    host->node_name = xasprintf("%s-%d", is->name, host->sid);
    replace_char(host->node_name, '_', '-');
    return 0;
}

static const json_t *listed(const json_t *tree, const char *list, const struct host *host)
{
    return json_object_get(json_object_get(json_object_get(tree, list), host->role), host->instance_id);
}

static int host_order(const void *a, const void *b)
{
    const struct host *x = a;
    const struct host *y = b;
    return x->is != y->is ? (x->is < y->is ? -1 : 1) : x->sid - y->sid;
}

static int number_or_zero(const json_t *object, const char *key)
{
    int n = 0;
    const char *value = json_text(object, key);
    return value != NULL && syntax_number(value, 0, INT32_MAX, &n) ? n : 0;
}

static int read_class(const json_t *entry)
{
    int class = 0;
    const char *value = json_text(entry, "instance_class");
    return value != NULL && syntax_number(value, 0, INT32_MAX, &class) ? class : -1;
}

/* "0,2,5": as QKE's package reads it. Words that are not numbers are left out. */
static int *read_volume_types(const json_t *cluster)
{
    const char *text = json_text_at(cluster, "resource_limits", "valid_volume_classes", NULL);
    if (str_empty(text)) {
        return NULL;
    }
    _cleanup_free_ char *copy = xstrdup(text);
    replace_char(copy, ',', ' ');
    _cleanup_strv_ char **words = strv_split(copy);
    int *types = xcalloc(strv_length(words) + 1, sizeof *types);
    size_t n = 0;
    for (char **word = words; *word != NULL; word++) {
        n += syntax_number(*word, 0, INT32_MAX, &types[n]);
    }
    types[n] = -1;
    return types;
}

/* Roles of a later release of the app, unknown here, are passed over. */
static int read_hosts(struct facts *facts, const json_t *tree, struct error **err)
{
    const json_t *hosts = json_object_get(tree, "hosts");
    size_t room = 0;
    for (const struct host_role *is = host_roles; is->name != NULL; is++) {
        room += json_object_size(json_object_get(hosts, is->name));
    }
    if (room == 0) {
        return error_new(err, STATUS_METADATA_INVALID,
                         "metadata: /hosts names no host of master, node, ssd_node, log "
                         "or client");
    }
    facts->hosts = xcalloc(room, sizeof *facts->hosts);
    for (const struct host_role *is = host_roles; is->name != NULL; is++) {
        const char *instance;
        json_t *entry;
        json_object_foreach (json_object_get(hosts, is->name), instance, entry) {
            struct host *host = &facts->hosts[facts->n_hosts++];
            if (read_host(host, is, instance, entry, err) < 0) {
                return -1;
            }
            host->memory_mib = number_or_zero(entry, "memory");
            host->instance_class = read_class(entry);
            host->adding = listed(tree, "adding-hosts", host) != NULL;
            host->deleting = listed(tree, "deleting-hosts", host) != NULL;
        }
    }
    qsort(facts->hosts, facts->n_hosts, sizeof *facts->hosts, host_order);
    for (size_t i = 1; i < facts->n_hosts; i++) {
        if (host_order(&facts->hosts[i - 1], &facts->hosts[i]) == 0) {
            return error_new(err, STATUS_METADATA_INVALID, "metadata: /hosts/%s has sid %d twice", facts->hosts[i].role,
                             facts->hosts[i].sid);
        }
    }
    return facts_check_hosts(facts, err);
}

static bool is_self(const struct host *host, const json_t *self)
{
    const char *instance = json_text(self, "instance_id");
    if (instance != NULL && strcmp(instance, host->instance_id) == 0) {
        return true;
    }
    const char *sid = json_text(self, "sid");
    const char *role = json_text(self, "role");
    const char *ip = json_text(self, "ip");
    return sid != NULL && role != NULL && ip != NULL && strcmp(role, host->role) == 0 && strcmp(ip, host->ip) == 0 &&
           strtol(sid, NULL, 10) == host->sid;
}

static int point_at_hosts(struct facts *facts, const json_t *tree, struct error **err)
{
    const json_t *self = json_object_get(tree, "host");
    for (size_t i = 0; i < facts->n_hosts; i++) {
        struct host *host = &facts->hosts[i];
        if (facts->self == NULL && is_self(host, self)) {
            facts->self = host;
        }
        if (facts->master == NULL && host->is->control_plane) {
            facts->master = host;
        }
        if (facts->client == NULL && strcmp(host->role, "client") == 0) {
            facts->client = host;
        }
        facts->n_logs += host->is->log && !host->deleting;
    }
    if (facts->self == NULL) {
        return error_new(err, STATUS_METADATA_INVALID,
                         "metadata: /host (its instance_id, or its role, sid and ip) is not among /hosts");
    }
    /* /host has what /hosts leaves out */
    const char *mac = json_text(self, "mac");
    if (mac != NULL && one_line(mac)) {
        free(facts->self->mac);
        facts->self->mac = xstrdup(mac);
    }
    facts->self_cpu = number_or_zero(self, "cpu");
    facts->self_memory_mib = number_or_zero(self, "memory");
    return 0;
}

static int read_cluster(struct facts *facts, const json_t *tree, const struct conf *conf, struct error **err)
{
    const json_t *cluster = json_object_get(tree, "cluster");
    if (take_id(&facts->cluster.id, cluster, "/cluster", "cluster_id", true, err) < 0 ||
        take_id(&facts->cluster.vxnet, cluster, "/cluster", "vxnet", true, err) < 0 ||
        take_id(&facts->cluster.zone, cluster, "/cluster", "zone", true, err) < 0 ||
        take_id(&facts->cluster.app_id, cluster, "/cluster", "app_id", false, err) < 0 ||
        take_id(&facts->cluster.user_id, cluster, "/cluster", "user_id", false, err) < 0) {
        return -1;
    }
    facts->cluster.volume_types = read_volume_types(cluster);
    const json_t *api = json_object_get(cluster, "api_server");
    const char *host = json_text(api, "host");
    const char *port = json_text(api, "port");
    const char *protocol = json_text(api, "protocol");
    const char *default_host = conf == NULL || conf->cloud.host == NULL ? "api.qingcloud.com" : conf->cloud.host;
    const char *default_protocol = conf == NULL || conf->cloud.protocol == NULL ? "https" : conf->cloud.protocol;
    facts->cluster.api_port = conf == NULL || conf->cloud.port == 0 ? 443 : conf->cloud.port;
    facts->cluster.api_host = xstrdup(str_empty(host) ? default_host : host);
    facts->cluster.api_protocol = xstrdup(str_empty(protocol) ? default_protocol : protocol);
    if (!syntax_host(facts->cluster.api_host)) {
        return invalid(err, "/cluster/api_server", "host", "a DNS name or an IPv4 address");
    }
    if (strcmp(facts->cluster.api_protocol, "http") != 0 && strcmp(facts->cluster.api_protocol, "https") != 0) {
        return invalid(err, "/cluster/api_server", "protocol", "http or https");
    }
    if (!str_empty(port) && !syntax_number(port, 1, 65535, &facts->cluster.api_port)) {
        return invalid(err, "/cluster/api_server", "port", "a number from 1 to 65535");
    }
    return 0;
}

static void choose_network(struct facts *facts, const struct conf *conf, struct problems *problems)
{
    if (conf != NULL && conf->network.mode != NULL && strcmp(conf->network.mode, "bridge") == 0) {
        facts->network = NETWORK_BRIDGE;
    } else {
        facts->network = facts->parameters.enable_hostnic ? NETWORK_HOSTNIC : NETWORK_FLANNEL;
    }
    if (strv_contains(facts->parameters.pod_vxnets, facts->cluster.vxnet)) {
        problem_add(problems, STATUS_VXNET_CLUSTER, "pod_vxnets holds \"%s\": other vxnets than the cluster's own",
                    facts->cluster.vxnet);
    }
}

static int check_bridge(const struct facts *facts, struct error **err)
{
    for (size_t i = 0; facts->network == NETWORK_BRIDGE && i < facts->n_hosts; i++) {
        _cleanup_free_ char *cidr = facts_node_cidr(&facts->hosts[i]);
        if (cidr == NULL && facts->hosts[i].is->node) {
            return error_new(
                err, STATUS_METADATA_INVALID,
                "network mode bridge has no pod network left for %s: sids go to 1 for master, 120 for node "
                "and ssd_node, 15 for log; use hostnic or flannel",
                facts->hosts[i].node_name);
        }
    }
    return 0;
}

int facts_load(struct facts **result, const json_t *tree, const struct conf *conf, struct error **err)
{
    _cleanup_(facts_freep) struct facts *facts = xcalloc(1, sizeof *facts);
    _cleanup_(problems_clear) struct problems problems = {0};
    if (!json_is_object(tree)) {
        return error_new(err, STATUS_METADATA_INVALID, "metadata: not an object");
    }
    if (read_cluster(facts, tree, conf, err) < 0 || read_hosts(facts, tree, err) < 0 ||
        point_at_hosts(facts, tree, err) < 0) {
        return -1;
    }
    parameters_read(&facts->parameters, json_object_get(tree, "env"), &problems);
    choose_network(facts, conf, &problems);
    if (facts_read_links(facts, tree, &problems, err) < 0 || check_bridge(facts, err) < 0 ||
        facts_read_versions(facts, conf, err) < 0) {
        return -1;
    }
    facts_check_names(facts, &problems);
    facts_check_networks(facts, &problems);
    if (problems.count > 0) {
        return error_new(err, problems.status, "the cluster's parameters are not acceptable:%s", problems.text.data);
    }
    *result = STEAL(facts);
    return 0;
}

static void host_clear(struct host *host)
{
    free(host->role);
    free(host->instance_id);
    free(host->node_id);
    free(host->ip);
    free(host->mac);
    free(host->node_name);
    free(host->pub_key);
    util_wipe_freep(&host->token);
}

void facts_free(struct facts *facts)
{
    if (facts == NULL) {
        return;
    }
    for (size_t i = 0; i < facts->n_hosts; i++) {
        host_clear(&facts->hosts[i]);
    }
    free(facts->hosts);
    free(facts->cluster.id);
    free(facts->cluster.app_id);
    free(facts->cluster.user_id);
    free(facts->cluster.vxnet);
    free(facts->cluster.zone);
    free(facts->cluster.volume_types);
    free(facts->cluster.api_host);
    free(facts->cluster.api_protocol);
    parameters_clear(&facts->parameters);
    free(facts->es_host);
    strv_free(facts->etcd_endpoints);
    free(facts->etcd_prefix);
    strv_free(facts->vertical_scaling_roles);
    json_decref(facts->versions);
    free(facts);
}

void facts_freep(struct facts **facts)
{
    facts_free(*facts);
}

const struct host *facts_host(const struct facts *facts, const char *role, size_t i)
{
    for (size_t n = 0; n < facts->n_hosts; n++) {
        if (strcmp(facts->hosts[n].role, role) == 0) {
            /* one role's hosts lie together */
            bool within = i < facts->n_hosts - n && strcmp(facts->hosts[n + i].role, role) == 0;
            return within ? &facts->hosts[n + i] : NULL;
        }
    }
    return NULL;
}

const struct host *facts_node(const struct facts *facts, const char *name)
{
    for (size_t i = 0; name != NULL && i < facts->n_hosts; i++) {
        if (strcmp(facts->hosts[i].node_name, name) == 0) {
            return &facts->hosts[i];
        }
    }
    return NULL;
}

char *facts_node_cidr(const struct host *host)
{
    static const struct {
        const char *role;
        int first, count;
    } room[] = {{"master", 0, 1}, {"node", 1, 120}, {"ssd_node", 121, 120}, {"log", 241, 15}};
    for (size_t i = 0; i < ELEMENTS(room); i++) {
        if (strcmp(room[i].role, host->role) == 0 && host->sid <= room[i].count) {
            return xasprintf("10.244.%d.0/24", room[i].first + host->sid - 1);
        }
    }
    return NULL;
}
