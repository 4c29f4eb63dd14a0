/* Stands for QingCloud's cloud controller manager v1.4.10: its flags, both configurations, leader election, and the
 * service controller of Kubernetes 1.21 that drives it. It calls the cloud as its source does. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/cloud-controller-manager/ccm.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/qingcloud.h"
#include "tests/lab/images/shared/yaml.h"

#define CLIENT_CONF "/etc/qingcloud/config.yaml"
#define FINALIZER "service.kubernetes.io/load-balancer-cleanup"
#define COMPONENT "service-controller"

enum { RETRY_S = 5, MOST_RETRY_S = 300 };

struct ccm ccm;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *services; /* by uid: {"service", "seen" (what was last balanced), "tries", "at"} */
static json_t *nodes;    /* by name, those that may be backends */

static bool wants(const json_t *service)
{
    return strcmp(text_at(service, "spec type"), "LoadBalancer") == 0 &&
           text_at(service, "metadata deletionTimestamp")[0] == '\0';
}

static bool has_finalizer(const json_t *service)
{
    size_t i;
    json_t *name;
    json_array_foreach (json_at(service, "metadata finalizers"), i, name) {
        if (strcmp(json_string_value(name), FINALIZER) == 0) {
            return true;
        }
    }
    return false;
}

static char *status_path(const json_t *service)
{
    return xasprintf("/api/v1/namespaces/%s/services/%s/status", text_at(service, "metadata namespace"),
                     text_at(service, "metadata name"));
}

static void set_finalizer(const json_t *service, bool hold)
{
    json_t *left = json_array();
    size_t i;
    json_t *name;
    json_array_foreach (json_at(service, "metadata finalizers"), i, name) {
        if (strcmp(json_string_value(name), FINALIZER) != 0) {
            json_array_append(left, name);
        }
    }
    if (hold) {
        json_array_append_new(left, json_string(FINALIZER));
    }
    _cleanup_json_ json_t *patch = json_pack("{s{so}}", "metadata", "finalizers", left);
    _cleanup_free_ char *path = status_path(service);
    (void)cluster_patch(path, patch);
}

static void set_ingress(const json_t *service, json_t *ingress)
{
    _cleanup_json_ json_t *patch = json_pack("{s{s{so}}}", "status", "loadBalancer", "ingress", ingress);
    _cleanup_free_ char *path = status_path(service);
    (void)cluster_patch(path, patch);
}

static json_t *node_list(void)
{
    json_t *list = json_array();
    const char *name;
    json_t *node;
    json_object_foreach (nodes, name, node) {
        json_array_append(list, node);
    }
    return list;
}

/* The whole of EnsureLoadBalancer. The addresses, a new reference; NULL and *WHY. */
static json_t *ensure(const json_t *service, char **why)
{
    _cleanup_(config_clear) struct balancer_config config = {0};
    _cleanup_json_ json_t *list = node_list();
    bool modified = false;
    bool changed = false;
    if (!config_read(&config, service, why)) {
        return NULL;
    }
    _cleanup_json_ json_t *balancer = balancer_find(&config, why);
    if (balancer == NULL && (*why != NULL || config.shared)) {
        *why = *why != NULL ? *why : xasprintf("[ResourceNotFound] happened when [GetResource] type: [LoadBalancer]");
        return NULL;
    }
    bool is_new = balancer == NULL;
    if (is_new) {
        balancer = eips_prepare(&config, why) ? balancer_create(&config, why) : NULL;
        if (balancer == NULL) {
            return NULL;
        }
    } else if (!balancer_modify(&config, balancer, &modified, why)) {
        return NULL;
    }
    if (!listeners_sync(&config, balancer, service, list, &changed, why)) {
        return NULL;
    }
    json_t *ingress = balancer_ingress(balancer);
    if (!is_new && !changed && !modified) {
        return ingress;
    }
    if (json_array_size(ingress) == 0) {
        *why = xstrdup("loadbalance has not vip, please spec it");
    } else if (balancer_update(text_at(balancer, "loadbalancer_id"), why)) {
        return ingress;
    }
    json_decref(ingress);
    return NULL;
}

/* EnsureLoadBalancerDeleted. */
static bool ensure_deleted(const json_t *service, char **why)
{
    _cleanup_(config_clear) struct balancer_config config = {0};
    bool any = false;
    if (!config_read(&config, service, why)) {
        _cleanup_free_ char *error = STEAL(*why);
        *why = xasprintf("failed to check if load balancer exists before cleanup: %s", error);
        return false;
    }
    _cleanup_json_ json_t *balancer = balancer_find(&config, why);
    if (balancer == NULL) {
        return *why == NULL;
    }
    cluster_tell(service, COMPONENT, "Normal", "DeletingLoadBalancer", "Deleting load balancer");
    if (str_empty(config.reuse)) {
        return balancer_delete(balancer, why);
    }
    return listeners_delete(&config, balancer, &any, why) && (!any || balancer_update(config.reuse, why));
}

static bool balance(const json_t *service, char **why)
{
    if (!wants(service)) {
        if (!ensure_deleted(service, why)) {
            return false;
        }
        set_ingress(service, json_array());
        set_finalizer(service, false);
        cluster_tell(service, COMPONENT, "Normal", "DeletedLoadBalancer", "Deleted load balancer");
        return true;
    }
    cluster_tell(service, COMPONENT, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer");
    if (!has_finalizer(service)) {
        set_finalizer(service, true);
    }
    json_t *ingress = ensure(service, why);
    if (ingress == NULL) {
        _cleanup_free_ char *error = STEAL(*why);
        *why = xasprintf("failed to ensure load balancer: %s", error);
        return false;
    }
    set_ingress(service, ingress);
    cluster_tell(service, COMPONENT, "Normal", "EnsuredLoadBalancer", "Ensured load balancer");
    return true;
}

/* What of a service makes the controller act when it changes. */
static json_t *essence(const json_t *service)
{
    json_t *what = json_object();
    json_object_set(what, "type", json_at(service, "spec type"));
    json_object_set(what, "ports", json_at(service, "spec ports"));
    json_object_set(what, "annotations", json_at(service, "metadata annotations"));
    json_object_set(what, "deleted", json_at(service, "metadata deletionTimestamp"));
    return what;
}

/* One service whose time has come; what fails is told, and tried again later and later. */
static void sync_one(json_t *entry)
{
    const json_t *service = json_object_get(entry, "service");
    _cleanup_free_ char *why = NULL;
    json_int_t tries = json_integer_value(json_object_get(entry, "tries"));
    if (balance(service, &why)) {
        json_object_set_new(entry, "seen", essence(service));
        json_object_set_new(entry, "tries", json_integer(0));
        return;
    }
    _cleanup_free_ char *message = xasprintf("Error syncing load balancer: %s", why);
    cluster_tell(service, COMPONENT, "Warning", "SyncLoadBalancerFailed", message);
    say("%s/%s: %s", text_at(service, "metadata namespace"), text_at(service, "metadata name"), message);
    json_int_t wait = RETRY_S;
    for (json_int_t i = 0; i < tries && wait < MOST_RETRY_S; i++) {
        wait *= 2;
    }
    json_object_set_new(entry, "tries", json_integer(tries + 1));
    json_object_set_new(entry, "at", json_integer(now_s() + (wait < MOST_RETRY_S ? wait : MOST_RETRY_S)));
}

static void sync_all(void)
{
    const char *uid;
    json_t *entry;
    void *next;
    json_object_foreach_safe(services, next, uid, entry)
    {
        const json_t *service = json_object_get(entry, "service");
        _cleanup_json_ json_t *now = essence(service);
        if (json_integer_value(json_object_get(entry, "at")) <= now_s() &&
            !json_equal(now, json_object_get(entry, "seen"))) {
            sync_one(entry);
        }
    }
}

static void service_event(const char *what, const json_t *service, void *data)
{
    (void)data;
    const char *uid = text_at(service, "metadata uid");
    pthread_mutex_lock(&lock);
    json_t *entry = json_object_get(services, uid);
    if (service == NULL) {
        pthread_mutex_unlock(&lock);
        return;
    }
    if (strcmp(what, "DELETED") == 0) {
        json_object_del(services, uid);
    } else if (entry != NULL || wants(service) || has_finalizer(service)) {
        if (entry == NULL) {
            entry = json_object();
            json_object_set_new(services, uid, entry);
        }
        _cleanup_json_ json_t *before = essence(json_object_get(entry, "service"));
        _cleanup_json_ json_t *now = essence(service);
        if (!json_equal(before, now)) { /* a change is tried at once */
            json_object_set_new(entry, "at", json_integer(0));
            json_object_set_new(entry, "tries", json_integer(0));
        }
        json_t *copy = json_deep_copy(service);
        json_object_set_new(copy, "kind", json_string("Service"));
        json_object_set_new(copy, "apiVersion", json_string("v1"));
        json_object_set_new(entry, "service", copy);
        if (!wants(service) && !has_finalizer(service)) {
            json_object_del(services, uid);
        }
    }
    pthread_mutex_unlock(&lock);
}

/* As the service controller chooses since 1.19, cordoned or not: Ready, not excluded by its label, not about to be
 * deleted.
 */
static bool may_serve(const json_t *node)
{
    const json_t *conditions = json_at(node, "status conditions");
    bool ready = false;
    size_t i;
    json_t *one;
    json_array_foreach ((json_t *)conditions, i, one) {
        ready = ready || (strcmp(text_at(one, "type"), "Ready") == 0 && strcmp(text_at(one, "status"), "True") == 0);
    }
    json_array_foreach (json_at(node, "spec taints"), i, one) {
        ready = ready && strcmp(text_at(one, "key"), "ToBeDeletedByClusterAutoscaler") != 0;
    }
    return ready && json_object_get(json_at(node, "metadata labels"),
                                    "node.kubernetes.io/exclude-from-external-load-balancers") == NULL;
}

/* UpdateLoadBalancer of every balanced service. */
static void update_hosts(void)
{
    _cleanup_json_ json_t *list = node_list();
    const char *uid;
    json_t *entry;
    json_object_foreach (services, uid, entry) {
        const json_t *service = json_object_get(entry, "service");
        _cleanup_(config_clear) struct balancer_config config = {0};
        _cleanup_free_ char *why = NULL;
        if (json_object_get(entry, "seen") == NULL || !wants(service)) {
            continue;
        }
        _cleanup_json_ json_t *balancer = config_read(&config, service, &why) ? balancer_find(&config, &why) : NULL;
        if (balancer != NULL && backends_sync(&config, balancer, service, list, &why)) {
            cluster_tell(service, COMPONENT, "Normal", "UpdatedLoadBalancer", "Updated load balancer with new hosts");
        } else {
            _cleanup_free_ char *message = xasprintf("Error updating load balancer with new hosts: %s", why);
            cluster_tell(service, COMPONENT, "Warning", "UpdateLoadBalancerFailed", message);
        }
    }
}

static void node_event(const char *what, const json_t *node, void *data)
{
    (void)data;
    const char *name = text_at(node, "metadata name");
    pthread_mutex_lock(&lock);
    bool before = node != NULL && json_object_get(nodes, name) != NULL;
    bool now = node != NULL && strcmp(what, "DELETED") != 0 && may_serve(node);
    if (now) {
        json_object_set_new(nodes, name, json_deep_copy(node));
    } else if (before) {
        json_object_del(nodes, name);
    }
    if (before != now) {
        update_hosts();
    }
    pthread_mutex_unlock(&lock);
}

static void read_conf(const char *path)
{
    static const char *const required[] = {"zone", "clusterID", "userID", "defaultVxNetForLB", NULL};
    const json_t *conf = yaml_read(path);
    for (const char *const *key = required; *key != NULL; key++) {
        if (text_at(conf, *key)[0] == '\0') {
            fail("%s: '%s' is missing", path, *key);
        }
    }
    ccm.cluster_id = text_at(conf, "clusterID");
    ccm.default_vxnet = text_at(conf, "defaultVxNetForLB");
    ccm.tags = json_object_get(conf, "tagIDs");
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"v", FLAG_NUMBER, false, "0"},
                           {"cloud-provider", FLAG_TEXT, true, NULL},
                           {"cloud-config", FLAG_FILE, true, NULL},
                           {"configure-cloud-routes", FLAG_SWITCH, false, "true"},
                           {"leader-elect", FLAG_SWITCH, false, "true"},
                           {"allocate-node-cidrs", FLAG_SWITCH, false, "false"},
                           {"cluster-name", FLAG_TEXT, false, "kubernetes"},
                           {NULL, FLAG_TEXT, false, NULL}};
    char host[256] = "";
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    if (strcmp(flag_text(flags, "cloud-provider"), "qingcloud") != 0 || flag_on(flags, "configure-cloud-routes")) {
        fail("cloud provider qingcloud has no routes: --configure-cloud-routes=false");
    }
    read_conf(flag_text(flags, "cloud-config"));
    qingcloud_open(CLIENT_CONF);
    if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) != 0) {
        fail("no certificates in /etc/ssl/certs: the cloud's API could not be called");
    }
    cluster_open();
    cloud_begin();
    (void)gethostname(host, sizeof host - 1);
    cluster_lead("kube-system", "cloud-controller-manager", host);
    services = json_object();
    nodes = json_object();
    cluster_follow("/api/v1/nodes", node_event, NULL);
    (void)sleep(1); /* the nodes first, so that a load balancer has its backends at once */
    cluster_follow("/api/v1/services", service_event, NULL);
    for (;;) {
        (void)sleep(1);
        pthread_mutex_lock(&lock);
        sync_all();
        pthread_mutex_unlock(&lock);
    }
}
