/* The listeners of a Service's ports, and the nodes behind them. */
#include <string.h>
#include <strings.h>

#include "tests/lab/images/cloud-controller-manager/ccm.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/qingcloud.h"

static json_int_t number_at(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

/* Where the node's machine is not said, its name is taken for it. */
static const char *instance_of(const json_t *node)
{
    const json_t *id = json_object_get(json_at(node, "metadata annotations"), "node.beta.kubernetes.io/instance-id");
    return id != NULL ? json_string_value(id) : text_at(node, "metadata name");
}

static json_t *own_listeners(const struct balancer_config *config, const json_t *balancer)
{
    json_t *ids = json_array();
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(balancer, "listeners"), i, one) {
        if (str_starts(text_at(one, "loadbalancer_listener_name"), config->listener_name)) {
            json_array_append(ids, json_object_get(one, "loadbalancer_listener_id"));
        }
    }
    return ids;
}

static json_t *describe(json_t *ids, char **why)
{
    _cleanup_json_ json_t *answer =
        qingcloud_call("DescribeLoadBalancerListeners",
                       json_pack("{sO si si}", "loadbalancer_listeners", ids, "verbose", 1, "limit", 100), why);
    return json_incref(json_object_get(answer, "loadbalancer_listener_set"));
}

/* What a listener for PORT is to be; NULL and *WHY when an annotation does not parse. */
static json_t *wanted_listener(const struct balancer_config *config, const json_t *port, char **why)
{
    long number = (long)number_at(port, "port");
    const char *protocol = text_at(port, "protocol");
    _cleanup_free_ char *method = NULL;
    _cleanup_free_ char *option = NULL;
    _cleanup_free_ char *mode = NULL;
    if (strcmp(protocol, "TCP") != 0 && strcmp(protocol, "UDP") != 0) {
        *why = xasprintf("loadbalance not support protocol %s", protocol);
        return NULL;
    }
    const char *own = strcmp(protocol, "UDP") == 0 ? "udp" : "tcp";
    if (!port_value(config->check_methods, number, &method) || !port_value(config->check_options, number, &option) ||
        !port_value(config->balance_modes, number, &mode)) {
        *why = xstrdup("wrong format of a listener annotation");
        return NULL;
    }
    return json_pack("{ss ss sI ss ss ss ss}", "backend_protocol", own, "listener_protocol", own, "listener_port",
                     (json_int_t)number, "loadbalancer_listener_name", config->listener_name, "healthy_check_method",
                     method == NULL ? own : method, "healthy_check_option", option == NULL ? "10|5|2|5" : option,
                     "balance_mode", mode == NULL ? "roundrobin" : mode);
}

/* Its node port is that of its first backend. */
static bool fits(const json_t *listener, const json_t *wanted, const json_t *port)
{
    static const char *const same[] = {"healthy_check_method", "healthy_check_option", "balance_mode"};
    const json_t *first = json_array_get(json_object_get(listener, "backends"), 0);
    for (size_t i = 0; i < ELEMENTS(same); i++) {
        if (strcmp(text_at(listener, same[i]), text_at(wanted, same[i])) != 0) {
            return false;
        }
    }
    return number_at(listener, "listener_port") == number_at(wanted, "listener_port") &&
           strcasecmp(text_at(listener, "listener_protocol"), text_at(wanted, "listener_protocol")) == 0 &&
           number_at(first, "port") == number_at(port, "nodePort");
}

static json_int_t node_port(const json_t *listener, const json_t *ports)
{
    const json_t *first = json_array_get(json_object_get(listener, "backends"), 0);
    size_t i;
    json_t *port;
    if (first != NULL) {
        return number_at(first, "port");
    }
    json_array_foreach ((json_t *)ports, i, port) {
        if (number_at(listener, "listener_port") == number_at(port, "port") &&
            strcasecmp(text_at(listener, "listener_protocol"), text_at(port, "protocol")) == 0) {
            return number_at(port, "nodePort");
        }
    }
    return 0;
}

static bool add_backends(const json_t *listener, const json_t *ports, const json_t *nodes, char **why)
{
    json_t *backends = json_array();
    size_t i;
    json_t *node;
    json_array_foreach ((json_t *)nodes, i, node) {
        json_array_append_new(backends, json_pack("{ss sI ss}", "loadbalancer_backend_name", instance_of(node), "port",
                                                  node_port(listener, ports), "resource_id", instance_of(node)));
    }
    bool none = json_array_size(backends) == 0;
    json_t *parameters = json_pack("{ss so}", "loadbalancer_listener", text_at(listener, "loadbalancer_listener_id"),
                                   "backends", backends);
    if (none) {
        json_decref(parameters);
        return true;
    }
    _cleanup_json_ json_t *answer = qingcloud_call("AddLoadBalancerBackends", parameters, why);
    return answer != NULL;
}

static bool create(const struct balancer_config *config, const char *balancer, const json_t *ports, const json_t *nodes,
                   char **why)
{
    json_t *listeners = json_array();
    _cleanup_json_ json_t *parameters = json_pack("{ss so}", "loadbalancer", balancer, "listeners", listeners);
    size_t i;
    json_t *one;
    json_array_foreach ((json_t *)ports, i, one) {
        json_t *listener = wanted_listener(config, one, why);
        if (listener == NULL) {
            return false;
        }
        json_array_append_new(listeners, listener);
    }
    if (json_array_size(listeners) == 0) {
        *why = xstrdup("service has not port");
        return false;
    }
    _cleanup_json_ json_t *answer = qingcloud_call("AddLoadBalancerListeners", json_incref(parameters), why);
    _cleanup_json_ json_t *made =
        answer == NULL ? NULL : describe(json_object_get(answer, "loadbalancer_listeners"), why);
    json_array_foreach (made, i, one) {
        if (!add_backends(one, ports, nodes, why)) {
            return false;
        }
    }
    return made != NULL;
}

static bool delete_listeners(json_t *ids, char **why)
{
    _cleanup_json_ json_t *answer =
        qingcloud_call("DeleteLoadBalancerListeners", json_pack("{sO}", "loadbalancer_listeners", ids), why);
    return answer != NULL;
}

bool listeners_delete(const struct balancer_config *config, const json_t *balancer, bool *any, char **why)
{
    _cleanup_json_ json_t *ids = own_listeners(config, balancer);
    *any = json_array_size(ids) > 0;
    return !*any || delete_listeners(ids, why);
}

/* The listeners that no port wants in *STALE, the ports that no listener serves in *MISSING. */
static bool compare(const struct balancer_config *config, const json_t *listeners, const json_t *ports, json_t **stale,
                    json_t **missing, char **why)
{
    size_t i;
    size_t k;
    json_t *port;
    json_t *listener;
    *stale = json_array();
    *missing = json_array();
    _cleanup_json_ json_t *used = json_object();
    json_array_foreach ((json_t *)ports, i, port) {
        _cleanup_json_ json_t *wanted = wanted_listener(config, port, why);
        bool served = false;
        if (wanted == NULL) {
            return false;
        }
        json_array_foreach ((json_t *)listeners, k, listener) {
            if (fits(listener, wanted, port)) {
                served = true;
                json_object_set_new(used, text_at(listener, "loadbalancer_listener_id"), json_true());
            }
        }
        if (!served) {
            json_array_append(*missing, port);
        }
    }
    json_array_foreach ((json_t *)listeners, k, listener) {
        const char *id = text_at(listener, "loadbalancer_listener_id");
        if (json_object_get(used, id) == NULL) {
            json_array_append_new(*stale, json_string(id));
        }
    }
    return true;
}

bool listeners_sync(const struct balancer_config *config, const json_t *balancer, const json_t *service,
                    const json_t *nodes, bool *changed, char **why)
{
    const char *id = text_at(balancer, "loadbalancer_id");
    const json_t *ports = json_at(service, "spec ports");
    _cleanup_json_ json_t *ids = own_listeners(config, balancer);
    *changed = true;
    if (json_array_size(ids) == 0) {
        return create(config, id, ports, nodes, why);
    }
    _cleanup_json_ json_t *listeners = describe(ids, why);
    _cleanup_json_ json_t *stale = NULL;
    _cleanup_json_ json_t *missing = NULL;
    if (listeners == NULL || !compare(config, listeners, ports, &stale, &missing, why)) {
        return false;
    }
    *changed = json_array_size(stale) + json_array_size(missing) > 0;
    return (json_array_size(stale) == 0 || delete_listeners(stale, why)) &&
           (json_array_size(missing) == 0 || create(config, id, missing, nodes, why));
}

static const json_t *node_with(const json_t *nodes, const char *name)
{
    size_t i;
    json_t *node;
    json_array_foreach ((json_t *)nodes, i, node) {
        if (strstr(name, instance_of(node)) != NULL) {
            return node;
        }
    }
    return NULL;
}

static bool backends_of_one(const json_t *listener, const json_t *ports, const json_t *nodes, char **why)
{
    _cleanup_json_ json_t *stale = json_array();
    _cleanup_json_ json_t *missing = json_array();
    const json_t *backends = json_object_get(listener, "backends");
    size_t i;
    size_t k;
    json_t *one;
    json_t *backend;
    json_array_foreach ((json_t *)backends, i, one) {
        if (node_with(nodes, text_at(one, "loadbalancer_backend_name")) == NULL) {
            json_array_append(stale, json_object_get(one, "loadbalancer_backend_id"));
        }
    }
    json_array_foreach ((json_t *)nodes, i, one) {
        bool there = false;
        json_array_foreach ((json_t *)backends, k, backend) {
            there = there || strstr(text_at(backend, "loadbalancer_backend_name"), instance_of(one)) != NULL;
        }
        if (!there) {
            json_array_append(missing, one);
        }
    }
    if (json_array_size(stale) > 0) {
        _cleanup_json_ json_t *answer =
            qingcloud_call("DeleteLoadBalancerBackends", json_pack("{sO}", "loadbalancer_backends", stale), why);
        if (answer == NULL) {
            return false;
        }
    }
    return add_backends(listener, ports, missing, why);
}

bool backends_sync(const struct balancer_config *config, const json_t *balancer, const json_t *service,
                   const json_t *nodes, char **why)
{
    _cleanup_json_ json_t *ids = own_listeners(config, balancer);
    if (json_array_size(ids) == 0) {
        return true;
    }
    _cleanup_json_ json_t *listeners = describe(ids, why);
    size_t i;
    json_t *one;
    json_array_foreach (listeners, i, one) {
        if (!backends_of_one(one, json_at(service, "spec ports"), nodes, why)) {
            return false;
        }
    }
    return listeners != NULL && balancer_update(text_at(balancer, "loadbalancer_id"), why);
}
