#include "app/facts/facts.h"

#include <stdio.h>
#include <string.h>

#include "app/facts/facts_links.h"
#include "app/facts/storage_types.h"
#include "lib/core/json.h"
#include "lib/core/syntax.h"
#include "lib/core/util.h"

#define PUBLIC_REGISTRY "dockerhub.qingcloud.com"
/* Its account for public repositories, name and password: the user guide's, known to everybody. */
#define PUBLIC_REGISTRY_GUEST "guest"

static void put_text(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, json_string(value == NULL ? "" : value));
}

static void put_number(json_t *object, const char *key, int value)
{
    json_object_set_new(object, key, json_integer(value));
}

static void put_flag(json_t *object, const char *key, bool value)
{
    json_object_set_new(object, key, json_boolean(value));
}

static void put_strings(json_t *object, const char *key, char *const *values)
{
    json_t *list = json_array();
    for (; values != NULL && *values != NULL; values++) {
        json_array_append_new(list, json_string(*values));
    }
    json_object_set_new(object, key, list);
}

/* Members are shared among lists, and only those at an end are copied, so that a list costs a pointer a host. */
static void mark(json_t *list, size_t index, const char *key)
{
    json_t *copy = json_copy(json_array_get(list, index));
    json_object_set_new(copy, key, json_true());
    json_array_set_new(list, index, copy);
}

static void mark_ends(json_t *list)
{
    size_t n = json_array_size(list);
    if (n > 0) {
        mark(list, 0, "first");
        mark(list, n - 1, "last");
    }
}

/* Objects, not strings: a template that writes JSON has to know which one is the last. */
static void put_values(json_t *object, const char *key, char *const *values)
{
    json_t *list = json_array();
    for (; values != NULL && *values != NULL; values++) {
        json_array_append_new(list, json_pack("{s:s, s:b, s:b}", "value", *values, "first", 0, "last", 0));
    }
    mark_ends(list);
    json_object_set_new(object, key, list);
}

static json_t *cluster_context(const struct facts *facts)
{
    json_t *cluster = json_object();
    put_text(cluster, "id", facts->cluster.id);
    put_text(cluster, "app_id", facts->cluster.app_id);
    put_text(cluster, "user_id", facts->cluster.user_id);
    put_text(cluster, "vxnet", facts->cluster.vxnet);
    put_text(cluster, "zone", facts->cluster.zone);
    return cluster;
}

static json_t *cloud_context(const struct facts *facts)
{
    json_t *cloud = json_object();
    put_text(cloud, "host", facts->cluster.api_host);
    put_number(cloud, "port", facts->cluster.api_port);
    put_text(cloud, "protocol", facts->cluster.api_protocol);
    put_text(cloud, "access_key_id", facts->parameters.access_key_id);
    put_text(cloud, "secret_access_key", facts->parameters.secret_access_key);
    return cloud;
}

static json_t *host_taints(const struct host *host)
{
    json_t *taints = json_array();
    if (host->is->taint != NULL) {
        json_array_append_new(taints, json_pack("{s:s, s:s, s:s, s:b, s:b}", "key", "dedicated", "value",
                                                host->is->taint, "effect", "NoSchedule", "first", 1, "last", 1));
    }
    return taints;
}

static json_t *self_context(const struct facts *facts)
{
    const struct host *self = facts->self;
    json_t *host = json_object();
    _cleanup_free_ char *cidr = facts_node_cidr(self);
    _cleanup_free_ char *labels = xasprintf("role=%s,node_id=%s", self->role, self->node_id);
    put_text(host, "role", self->role);
    put_number(host, "sid", self->sid);
    put_text(host, "ip", self->ip);
    put_text(host, "mac", self->mac);
    put_text(host, "instance_id", self->instance_id);
    put_text(host, "node_id", self->node_id);
    put_text(host, "node_name", self->node_name);
    put_text(host, "node_cidr", cidr);
    put_number(host, "cpu", facts->self_cpu);
    put_number(host, "memory_mib", facts->self_memory_mib);
    put_text(host, "labels", labels);
    json_object_set_new(host, "taints", host_taints(self));
    put_flag(host, "is_master", self->is->control_plane);
    put_flag(host, "is_node", self->is->worker);
    put_flag(host, "is_log", self->is->log);
    put_flag(host, "is_client", !self->is->node);
    return host;
}

static json_t *host_member(const struct facts *facts, const struct host *host)
{
    json_t *member = json_object();
    _cleanup_free_ char *cidr = facts_node_cidr(host);
    put_text(member, "role", host->role);
    put_number(member, "sid", host->sid);
    put_text(member, "ip", host->ip);
    put_text(member, "instance_id", host->instance_id);
    put_text(member, "node_id", host->node_id);
    put_text(member, "node_name", host->node_name);
    put_text(member, "node_cidr", cidr);
    if (host->pub_key != NULL) {
        put_text(member, "pub_key", host->pub_key);
    }
    put_flag(member, "is_self", host == facts->self);
    put_flag(member, "first", false);
    put_flag(member, "last", false);
    return member;
}

static void put_hosts(json_t *context, const struct facts *facts)
{
    enum { HOSTS, NODES, OTHERS, LOGS, WORKERS, LISTS };
    static const char *const names[LISTS] = {"hosts", "nodes", "others", "logs", "workers"};
    json_t *lists[LISTS];
    for (size_t i = 0; i < LISTS; i++) {
        lists[i] = json_array();
    }
    for (size_t i = 0; i < facts->n_hosts; i++) {
        const struct host *host = &facts->hosts[i];
        const struct host_role *is = host->is;
        bool in[LISTS] = {true, is->node, is->node && host != facts->self, is->log && !host->deleting, is->worker};
        _cleanup_json_ json_t *member = host_member(facts, host);
        for (size_t list = 0; list < LISTS; list++) {
            if (in[list]) {
                json_array_append(lists[list], member);
            }
        }
    }
    for (size_t i = 0; i < LISTS; i++) {
        mark_ends(lists[i]);
        json_object_set_new(context, names[i], lists[i]);
    }
    put_number(context, "log_count", facts->n_logs);
}

static void put_master_and_client(json_t *context, const struct facts *facts)
{
    if (facts->master != NULL) {
        json_t *master = json_object();
        put_text(master, "ip", facts->master->ip);
        put_text(master, "node_name", facts->master->node_name);
        put_text(master, "instance_id", facts->master->instance_id);
        json_object_set_new(context, "master", master);
    }
    if (facts->client != NULL) {
        json_t *client = json_object();
        put_text(client, "ip", facts->client->ip);
        if (facts->client->pub_key != NULL) {
            put_text(client, "pub_key", facts->client->pub_key);
        }
        json_object_set_new(context, "client", client);
    }
}

static json_t *api_context(const struct facts *facts)
{
    json_t *api = json_object();
    _cleanup_free_ char *range = xasprintf("%d-%d", facts->parameters.port_low, facts->parameters.port_high);
    put_text(api, "domain", facts->parameters.api_external_domain);
    if (facts->master != NULL) {
        _cleanup_free_ char *endpoint = xasprintf("%s:%d", facts->master->ip, API_PORT);
        put_text(api, "endpoint", endpoint);
        put_text(api, "ip", facts->master->ip);
    }
    put_number(api, "port", API_PORT);
    put_text(api, "port_range", range);
    return api;
}

/* What the kubelet, Docker and a shim a pod take grows with the machine and with max_pods; a quarter of the machine at
 * most, so that pods of a small one find room. */
static void put_reserved(json_t *kube, const struct facts *facts)
{
    enum { LEAST_MIB = 256, MIB_A_POD = 5, LEAST_MILLIS = 100, PODS_BY_DEFAULT = 60 };
    int memory = facts->self_memory_mib;
    int wanted = memory / 20 + facts->parameters.max_pods * MIB_A_POD;
    int most = memory == 0 ? wanted : memory / 4;
    int reserved = wanted < most ? wanted : most;
    put_number(kube, "reserved_memory_mib", reserved > LEAST_MIB ? reserved : LEAST_MIB);
    int more_pods = facts->parameters.max_pods - PODS_BY_DEFAULT;
    put_number(kube, "reserved_cpu_millis", LEAST_MILLIS + (more_pods > 0 ? more_pods : 0));
}

/* PodDisruptionBudget is served as policy/v1 from Kubernetes 1.21 on, as v1beta1 until 1.24. */
static const char *policy_api(const char *version)
{
    return version != NULL && str_starts(version, "v1.") && strtol(version + 3, NULL, 10) >= 21 ? "policy/v1"
                                                                                                : "policy/v1beta1";
}

static json_t *kube_context(const struct facts *facts)
{
    static const char *const names[] = {"warn", "info", "debug"};
    json_t *kube = json_object();
    int level = facts->parameters.kube_log_level;
    json_t *version = json_object_get(facts->versions, "kubernetes");
    if (json_is_string(version)) {
        json_object_set(kube, "version", version);
    }
    const char *api = json_text(facts->versions, "kubeadm_api");
    const char *runtime = json_text(facts->versions, "container_runtime");
    put_text(kube, "policy_api", policy_api(json_text(facts->versions, "kubernetes")));
    put_text(kube, "kubeadm_api", api);
    put_flag(kube, "kubeadm_v1beta4", api != NULL && strcmp(api, "v1beta4") == 0);
    put_flag(kube, "cri_dockerd", runtime != NULL && strcmp(runtime, "cri-dockerd") == 0);
    put_text(kube, "cri_socket", json_text(facts->versions, "cri_socket"));
    put_number(kube, "log_level", level);
    put_text(kube, "log_name", names[level < 2 ? level : 2]);
    put_number(kube, "max_pods", facts->parameters.max_pods);
    put_reserved(kube, facts);
    put_text(kube, "service_cidr", SERVICE_CIDR);
    put_text(kube, "pod_cidr", POD_CIDR);
    put_text(kube, "dns_ip", DNS_IP);
    put_text(kube, "domain", CLUSTER_DOMAIN);
    return kube;
}

static json_t *docker_context(const struct facts *facts)
{
    json_t *docker = json_object();
    put_text(docker, "bip", facts->parameters.docker_bip);
    put_text(docker, "data_root", "/data/var/lib/docker");
    return docker;
}

static json_t *registry_context(const struct facts *facts)
{
    json_t *registry = json_object();
    const struct parameters *p = &facts->parameters;
    put_values(registry, "mirrors", p->registry_mirrors);
    put_values(registry, "insecure", p->insecure_registries);
    put_text(registry, "server", p->private_registry == NULL ? PUBLIC_REGISTRY : p->private_registry);
    put_text(registry, "ca", p->registry_ca);
    bool guest = p->dockerhub_username == NULL && p->private_registry == NULL;
    put_flag(registry, "login", guest || p->dockerhub_username != NULL);
    put_text(registry, "username", guest ? PUBLIC_REGISTRY_GUEST : p->dockerhub_username);
    put_text(registry, "password", guest ? PUBLIC_REGISTRY_GUEST : p->dockerhub_password);
    return registry;
}

static json_t *etcd_context(const struct facts *facts)
{
    json_t *etcd = json_object();
    put_flag(etcd, "local", !facts->etcd_linked);
    put_flag(etcd, "linked", facts->etcd_linked);
    put_strings(etcd, "endpoints", facts->etcd_endpoints);
    put_text(etcd, "prefix", facts->etcd_prefix);
    return etcd;
}

static json_t *bridge_routes(const struct facts *facts)
{
    json_t *routes = json_array();
    for (size_t i = 0; facts->network == NETWORK_BRIDGE && i < facts->n_hosts; i++) {
        const struct host *host = &facts->hosts[i];
        _cleanup_free_ char *cidr = facts_node_cidr(host);
        if (host != facts->self && cidr != NULL) {
            json_array_append_new(
                routes, json_pack("{s:s, s:s, s:b, s:b}", "cidr", cidr, "via", host->ip, "first", 0, "last", 0));
        }
    }
    mark_ends(routes);
    return routes;
}

static json_t *network_context(const struct facts *facts)
{
    static const char *const modes[] = {
        [NETWORK_HOSTNIC] = "hostnic", [NETWORK_FLANNEL] = "flannel", [NETWORK_BRIDGE] = "bridge"};
    json_t *network = json_object();
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    put_text(network, "mode", modes[facts->network]);
    put_flag(network, "hostnic", facts->network == NETWORK_HOSTNIC);
    put_flag(network, "flannel", facts->network == NETWORK_FLANNEL);
    put_flag(network, "bridge", facts->network == NETWORK_BRIDGE);
    put_values(network, "vxnets", vxnets);
    json_object_set_new(network, "routes", bridge_routes(facts));
    return network;
}

/* As long as log nodes leave, their pods hold what has not been moved: scale-in takes them away, and not a reload. */
static int log_pods(const struct facts *facts)
{
    int pods = 0;
    for (size_t i = 0; i < facts->n_hosts; i++) {
        pods += facts->hosts[i].is->log;
    }
    return facts->n_logs > 0 ? pods : 0;
}

/* Half of the smallest log node, the rest is the file system's cache; below 32 GiB Java's pointers are half as long.
 * All nodes get the same, as one StatefulSet holds them. */
static void put_heap(json_t *logging, const struct facts *facts)
{
    enum { BY_DEFAULT_MIB = 1024, MOST_MIB = 31 * 1024 };
    int memory = 0;
    for (size_t i = 0; i < facts->n_hosts; i++) {
        const struct host *host = &facts->hosts[i];
        if (host->is->log && host->memory_mib > 0 && (memory == 0 || host->memory_mib < memory)) {
            memory = host->memory_mib;
        }
    }
    int heap = memory == 0 ? BY_DEFAULT_MIB : memory / 2;
    heap = heap < MOST_MIB ? heap : MOST_MIB;
    put_number(logging, "heap_mib", heap);
    put_number(logging, "memory_limit_mib", memory == 0 ? 2 * heap : memory - memory / 8);
}

static json_t *logging_context(const struct facts *facts)
{
    json_t *logging = json_object();
    const struct parameters *p = &facts->parameters;
    bool nodes = facts->log_target == LOG_NODES;
    put_flag(logging, "nodes", nodes);
    put_flag(logging, "elk", facts->log_target == LOG_ELK_LINK);
    put_flag(logging, "es_server", facts->log_target == LOG_ES_SERVER);
    put_flag(logging, "external", !nodes);
    put_text(logging, "host", facts->es_host);
    put_number(logging, "port", facts->es_port);
    put_flag(logging, "by_name", !nodes && !syntax_ipv4(facts->es_host, NULL));
    put_text(logging, "service_ip", ELASTICSEARCH_IP);
    put_flag(logging, "typeless", true);
    put_text(logging, "type", "_doc");
    put_flag(logging, "kibana", true);
    put_number(logging, "keep_days", p->keep_log_days);
    put_flag(logging, "keep_all", p->keep_log_days == 0);
    put_number(logging, "replicas", nodes ? facts->n_logs : 0);
    put_number(logging, "pods", nodes ? log_pods(facts) : 0);
    put_number(logging, "minimum_masters", nodes ? facts->n_logs / 2 + 1 : 0);
    put_heap(logging, facts);
    if (p->fluent_forward_host != NULL) {
        json_t *forward = json_object();
        put_text(forward, "host", p->fluent_forward_host);
        put_number(forward, "port", p->fluent_forward_port);
        json_object_set_new(logging, "forward", forward);
    }
    return logging;
}

/* Prometheus is promised on this port of every node, which a cluster_port_range of the user's own may leave out. */
static json_t *monitoring_context(const struct facts *facts)
{
    json_t *monitoring = json_object();
    if (facts->parameters.port_low <= PROMETHEUS_PORT && PROMETHEUS_PORT <= facts->parameters.port_high) {
        put_number(monitoring, "node_port", PROMETHEUS_PORT);
    }
    return monitoring;
}

static json_t *images_context(const struct facts *facts)
{
    json_t *images = json_object();
    const char *name;
    json_t *reference;
    json_object_foreach (json_object_get(facts->versions, "images"), name, reference) {
        _cleanup_free_ char *key = xstrdup(name);
        replace_char(key, '-', '_');
        json_object_set(images, key, reference);
    }
    return images;
}

static void put_token(json_t *context, const struct facts *facts)
{
    _cleanup_token_ struct join_token token = {0};
    if (facts_join_token(facts, &token, NULL) < 0) {
        return;
    }
    json_t *object = json_object();
    put_text(object, "bootstrap", token.bootstrap);
    put_text(object, "ca_hash", token.ca_hash);
    put_text(object, "api", token.api);
    json_object_set_new(context, "token", object);
}

json_t *facts_context(const struct facts *facts)
{
    json_t *context = json_object();
    json_t *addons = json_object();
    put_flag(addons, "istio", facts->parameters.enable_istio);
    put_flag(addons, "helm", facts->parameters.enable_helm);
    json_object_set_new(context, "cluster", cluster_context(facts));
    json_object_set_new(context, "cloud", cloud_context(facts));
    json_object_set_new(context, "host", self_context(facts));
    put_master_and_client(context, facts);
    put_hosts(context, facts);
    json_object_set_new(context, "api", api_context(facts));
    json_object_set_new(context, "kube", kube_context(facts));
    json_object_set_new(context, "docker", docker_context(facts));
    json_object_set_new(context, "registry", registry_context(facts));
    json_object_set_new(context, "etcd", etcd_context(facts));
    json_object_set_new(context, "network", network_context(facts));
    json_object_set_new(context, "logging", logging_context(facts));
    json_object_set_new(context, "monitoring", monitoring_context(facts));
    json_object_set_new(context, "addons", addons);
    json_object_set_new(context, "storage", facts_storage(facts, NULL));
    json_object_set_new(context, "admission", json_pack("{s:i}", "port", ADMISSION_PORT));
    json_object_set_new(context, "images", images_context(facts));
    put_token(context, facts);
    return context;
}

json_t *facts_public(const struct facts *facts)
{
    static const struct {
        const char *object, *key;
    } secrets[] = {
        {"cloud", "access_key_id"}, {"cloud", "secret_access_key"}, {"registry", "password"}, {"token", "bootstrap"}};
    json_t *context = facts_context(facts);
    for (size_t i = 0; i < ELEMENTS(secrets); i++) {
        json_t *object = json_object_get(context, secrets[i].object);
        if (!str_empty(json_text(object, secrets[i].key))) {
            json_object_set_new(object, secrets[i].key, json_string("***"));
        }
    }
    return context;
}
