#include "tests/lab/images/prometheus/discovery.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

#define META "__meta_kubernetes_"

const char *const role_names[ROLES] = {"node", "endpoints", "pod"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool changed = true;
static const char *directory;

static struct kind {
    const char *path;
    json_t *objects; /* by "namespace/name" */
    bool listed, wanted;
} nodes = {.path = "/api/v1/nodes"}, services = {.path = "/api/v1/services"}, endpoints = {.path = "/api/v1/endpoints"},
  pods = {.path = "/api/v1/pods"};
static struct kind *const kinds[] = {&nodes, &services, &endpoints, &pods};

static void take(const char *what, const json_t *object, void *data)
{
    struct kind *kind = data;
    (void)pthread_mutex_lock(&lock);
    if (object == NULL && strcmp(what, "LISTING") == 0) {
        json_object_clear(kind->objects);
    } else if (object == NULL) {
        kind->listed = true;
    } else {
        _cleanup_free_ char *key =
            xasprintf("%s/%s", text_at(object, "metadata namespace"), text_at(object, "metadata name"));
        if (strcmp(what, "DELETED") == 0) {
            json_object_del(kind->objects, key);
        } else {
            json_object_set_new(kind->objects, key, json_deep_copy(object));
        }
    }
    changed = true;
    (void)pthread_mutex_unlock(&lock);
}

/* What a label's name cannot have becomes "_". */
static void put(json_t *labels, const char *name, const char *value)
{
    _cleanup_free_ char *label = xasprintf(META "%s", name);
    for (char *c = label; *c != '\0'; c++) {
        *c = isalnum((unsigned char)*c) ? *c : '_';
    }
    json_object_set_new(labels, label, json_string(value));
}

static void put_all(json_t *labels, const char *prefix, const char *present, const json_t *map)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)map, key, value) {
        _cleanup_free_ char *name = xasprintf("%s_%s", prefix, key);
        _cleanup_free_ char *there = xasprintf("%s_%s", present, key);
        put(labels, name, json_string_value(value));
        put(labels, there, "true");
    }
}

static json_t *target(json_t *list, const char *address)
{
    json_t *labels = json_object();
    json_array_append_new(list, json_pack("{s[s] so}", "targets", address, "labels", labels));
    return labels;
}

static json_t *node_targets(void)
{
    const char *key;
    json_t *node;
    json_t *list = json_array();
    json_object_foreach (nodes.objects, key, node) {
        const char *internal = "";
        size_t i;
        json_t *entry;
        json_array_foreach (json_at(node, "status addresses"), i, entry) {
            internal = strcmp(text_at(entry, "type"), "InternalIP") == 0 ? text_at(entry, "address") : internal;
        }
        json_int_t port = json_integer_value(json_at(node, "status daemonEndpoints kubeletEndpoint Port"));
        _cleanup_free_ char *address = xasprintf("%s:%d", internal, (int)port);
        json_t *labels = target(list, address);
        json_object_set_new(labels, "instance", json_string(text_at(node, "metadata name")));
        put(labels, "node_name", text_at(node, "metadata name"));
        put(labels, "node_address_InternalIP", internal);
        put_all(labels, "node_label", "node_labelpresent", json_at(node, "metadata labels"));
        put_all(labels, "node_annotation", "node_annotationpresent", json_at(node, "metadata annotations"));
    }
    return list;
}

static bool is_ready(const json_t *pod)
{
    size_t i;
    json_t *condition;
    json_array_foreach (json_at(pod, "status conditions"), i, condition) {
        if (strcmp(text_at(condition, "type"), "Ready") == 0) {
            return strcmp(text_at(condition, "status"), "True") == 0;
        }
    }
    return false;
}

static void put_pod(json_t *labels, const json_t *pod)
{
    const json_t *owner = json_array_get(json_at(pod, "metadata ownerReferences"), 0);
    put(labels, "pod_name", text_at(pod, "metadata name"));
    put(labels, "pod_ip", text_at(pod, "status podIP"));
    put(labels, "pod_ready", is_ready(pod) ? "true" : "false");
    put(labels, "pod_phase", text_at(pod, "status phase"));
    put(labels, "pod_node_name", text_at(pod, "spec nodeName"));
    put(labels, "pod_host_ip", text_at(pod, "status hostIP"));
    put(labels, "pod_uid", text_at(pod, "metadata uid"));
    if (owner != NULL) {
        put(labels, "pod_controller_kind", text_at(owner, "kind"));
        put(labels, "pod_controller_name", text_at(owner, "name"));
    }
    put_all(labels, "pod_label", "pod_labelpresent", json_at(pod, "metadata labels"));
    put_all(labels, "pod_annotation", "pod_annotationpresent", json_at(pod, "metadata annotations"));
}

static void put_port(json_t *labels, const json_t *container, const json_t *port)
{
    put(labels, "pod_container_name", text_at(container, "name"));
    put(labels, "pod_container_init", "false");
    if (port != NULL) {
        const char *protocol = text_at(port, "protocol");
        _cleanup_free_ char *number = xasprintf("%d", (int)json_integer_value(json_object_get(port, "containerPort")));
        put(labels, "pod_container_port_name", text_at(port, "name"));
        put(labels, "pod_container_port_number", number);
        put(labels, "pod_container_port_protocol", protocol[0] == '\0' ? "TCP" : protocol);
    }
}

static json_t *pod_targets(void)
{
    const char *key;
    json_t *pod, *container, *port;
    json_t *list = json_array();
    size_t i, j;
    json_object_foreach (pods.objects, key, pod) {
        const char *ip = text_at(pod, "status podIP");
        if (ip[0] == '\0') {
            continue;
        }
        json_array_foreach (json_at(pod, "spec containers"), i, container) {
            const json_t *ports = json_object_get(container, "ports");
            if (json_array_size(ports) == 0) {
                json_t *labels = target(list, ip);
                put(labels, "namespace", text_at(pod, "metadata namespace"));
                put_pod(labels, pod);
                put_port(labels, container, NULL);
            }
            json_array_foreach (ports, j, port) {
                _cleanup_free_ char *address =
                    xasprintf("%s:%d", ip, (int)json_integer_value(json_object_get(port, "containerPort")));
                json_t *labels = target(list, address);
                put(labels, "namespace", text_at(pod, "metadata namespace"));
                put_pod(labels, pod);
                put_port(labels, container, port);
            }
        }
    }
    return list;
}

static void put_service(json_t *labels, const char *key)
{
    const json_t *service = json_object_get(services.objects, key);
    if (service != NULL) {
        put(labels, "service_name", text_at(service, "metadata name"));
        put_all(labels, "service_label", "service_labelpresent", json_at(service, "metadata labels"));
        put_all(labels, "service_annotation", "service_annotationpresent", json_at(service, "metadata annotations"));
    }
}

static void endpoint_target(json_t *list, const char *key, const json_t *object, const json_t *port,
                            const json_t *address, bool ready)
{
    _cleanup_free_ char *text =
        xasprintf("%s:%d", text_at(address, "ip"), (int)json_integer_value(json_object_get(port, "port")));
    json_t *labels = target(list, text);
    const json_t *reference = json_object_get(address, "targetRef");
    put(labels, "namespace", text_at(object, "metadata namespace"));
    put(labels, "endpoints_name", text_at(object, "metadata name"));
    put(labels, "endpoint_port_name", text_at(port, "name"));
    put(labels, "endpoint_port_protocol", text_at(port, "protocol"));
    put(labels, "endpoint_ready", ready ? "true" : "false");
    put_service(labels, key);
    if (reference != NULL) {
        put(labels, "endpoint_address_target_kind", text_at(reference, "kind"));
        put(labels, "endpoint_address_target_name", text_at(reference, "name"));
        _cleanup_free_ char *pod = xasprintf("%s/%s", text_at(reference, "namespace"), text_at(reference, "name"));
        if (json_object_get(pods.objects, pod) != NULL) {
            put_pod(labels, json_object_get(pods.objects, pod));
        }
    }
    if (text_at(address, "nodeName")[0] != '\0') {
        put(labels, "endpoint_node_name", text_at(address, "nodeName"));
    }
}

static json_t *endpoint_targets(void)
{
    static const char *const lists[] = {"addresses", "notReadyAddresses"};
    const char *key;
    json_t *object, *subset, *port, *address;
    json_t *list = json_array();
    size_t i, j, k;
    json_object_foreach (endpoints.objects, key, object) {
        json_array_foreach (json_object_get(object, "subsets"), i, subset) {
            json_array_foreach (json_object_get(subset, "ports"), j, port) {
                for (size_t ready = 0; ready < 2; ready++) {
                    json_array_foreach (json_object_get(subset, lists[ready]), k, address) {
                        endpoint_target(list, key, object, port, address, ready == 0);
                    }
                }
            }
        }
    }
    return list;
}

typedef json_t *make_targets(void);

static void write_role(enum role role)
{
    static make_targets *const makers[ROLES] = {node_targets, endpoint_targets, pod_targets};
    _cleanup_free_ char *path = xasprintf("%s/%s.json", directory, role_names[role]);
    _cleanup_free_ char *beside = xasprintf("%s.new", path);
    _cleanup_json_ json_t *list = makers[role]();
    if (json_dump_file(list, beside, JSON_INDENT(1)) != 0 || rename(beside, path) != 0) {
        fail("writing %s: %s", path, strerror(errno));
    }
}

static bool roles_wanted[ROLES];

static bool write_all(void)
{
    bool listed = true;
    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        listed = listed && (!kinds[i]->wanted || kinds[i]->listed);
    }
    if (listed && changed) {
        changed = false;
        for (int role = 0; role < ROLES; role++) {
            if (roles_wanted[role]) {
                write_role((enum role)role);
            }
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return listed;
}

static void *keep(void *data)
{
    (void)data;
    for (;;) {
        (void)sleep(2);
        (void)write_all();
    }
    return NULL;
}

void discovery_start(const bool *wanted, const char *where)
{
    pthread_t thread;
    directory = where;
    memcpy(roles_wanted, wanted, sizeof roles_wanted);
    nodes.wanted = wanted[NODE];
    services.wanted = endpoints.wanted = wanted[ENDPOINTS];
    pods.wanted = wanted[POD] || wanted[ENDPOINTS];
    cluster_open();
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        kinds[i]->objects = json_object();
        if (kinds[i]->wanted) {
            cluster_follow(kinds[i]->path, take, kinds[i]);
        }
    }
    while (!write_all()) {
        (void)usleep(100000);
    }
    if (pthread_create(&thread, NULL, keep, NULL) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_detach(thread);
}
