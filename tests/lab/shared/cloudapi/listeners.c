/* Listeners of load balancers, and their backends. */
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

enum { MOST_PORT = 65535 };

static bool one_of(const char *text, const char *const *values)
{
    for (; text != NULL && *values != NULL; values++) {
        if (strcmp(text, *values) == 0) {
            return true;
        }
    }
    return false;
}

static bool belongs(const json_t *entry, const char *member, const char *id)
{
    return strcmp(json_text_or(entry, member, ""), id) == 0;
}

static json_t *backends_of(const struct cloudapi_call *call, const char *listener)
{
    json_t *list = json_array();
    size_t i = 0;
    json_t *entry;
    json_array_foreach (cloudapi_all(call, cloudapi_backends.list), i, entry) {
        if (belongs(entry, "loadbalancer_listener_id", listener)) {
            json_array_append_new(list, json_deep_copy(entry));
        }
    }
    return list;
}

static void render(const struct cloudapi_call *call, json_t *entry)
{
    json_object_set_new(entry, "backends", backends_of(call, json_text_or(entry, "loadbalancer_listener_id", "")));
}

json_t *cloudapi_listeners_of(const struct cloudapi_call *call, const char *balancer)
{
    json_t *list = json_array();
    size_t i = 0;
    json_t *entry;
    json_array_foreach (cloudapi_all(call, cloudapi_listeners.list), i, entry) {
        if (belongs(entry, "loadbalancer_id", balancer)) {
            json_t *copy = json_deep_copy(entry);
            render(call, copy);
            json_array_append_new(list, copy);
        }
    }
    return list;
}

static void drop(struct cloudapi_call *call, const struct cloudapi_kind *kind, const char *member, const char *id)
{
    json_t *all = cloudapi_all(call, kind->list);
    for (size_t i = json_array_size(all); i-- > 0;) {
        if (belongs(json_array_get(all, i), member, id)) {
            json_array_remove(all, i);
        }
    }
}

void cloudapi_drop_listeners(struct cloudapi_call *call, const char *member, const char *id)
{
    drop(call, &cloudapi_listeners, member, id);
    drop(call, &cloudapi_backends, member, id);
}

/* What is changed counts from the next update on. */
static void not_applied(struct cloudapi_call *call, const char *balancer)
{
    json_t *changed = cloudapi_find(call, &cloudapi_balancers, balancer);
    if (changed != NULL) {
        json_object_set_new(changed, "is_applied", json_integer(0));
    }
}

static bool port_used(const struct cloudapi_call *call, const char *balancer, long port, const char *protocol)
{
    size_t i = 0;
    json_t *entry;
    json_array_foreach (cloudapi_all(call, cloudapi_listeners.list), i, entry) {
        if (belongs(entry, "loadbalancer_id", balancer) &&
            json_integer_value(json_object_get(entry, "listener_port")) == port &&
            (strcmp(protocol, "udp") == 0) == belongs(entry, "listener_protocol", "udp")) {
            return true;
        }
    }
    return false;
}

static json_t *check_listener(const struct cloudapi_call *call, const json_t *listener, const char *balancer)
{
    static const char *const protocols[] = {"tcp", "udp", "http", "https", "ssl", NULL};
    static const char *const modes[] = {"roundrobin", "leastconn", "source", NULL};
    const char *protocol = json_text(listener, "listener_protocol");
    long port = 0;
    if (!str_number(json_text_or(listener, "listener_port", ""), 1, MOST_PORT, &port)) {
        return cloudapi_invalid("listener_port");
    }
    if (!one_of(protocol, protocols) || !one_of(json_text(listener, "backend_protocol"), protocols)) {
        return cloudapi_invalid("listener_protocol");
    }
    if (!one_of(json_text_or(listener, "balance_mode", "roundrobin"), modes)) {
        return cloudapi_invalid("balance_mode");
    }
    return port_used(call, balancer, port, protocol)
               ? cloudapi_refuse(RET_DENIED, "PermissionDenied, port [%ld] of load balancer [%s] is already used", port,
                                 balancer)
               : NULL;
}

static json_t *new_listener(struct cloudapi_call *call, const json_t *given, const char *balancer)
{
    long port = 0;
    (void)str_number(json_text_or(given, "listener_port", ""), 1, MOST_PORT, &port);
    json_t *members = json_pack(
        "{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:i}", "loadbalancer_id", balancer, "listener_port",
        (json_int_t)port, "listener_protocol", json_text_or(given, "listener_protocol", ""), "backend_protocol",
        json_text_or(given, "backend_protocol", ""), "balance_mode", json_text_or(given, "balance_mode", "roundrobin"),
        "healthy_check_method", json_text_or(given, "healthy_check_method", "tcp"), "healthy_check_option",
        json_text_or(given, "healthy_check_option", "10|5|2|5"), "forwardfor", 0, "listener_option", 0,
        "session_sticky", "", "timeout", 50);
    return cloudapi_add(call, &cloudapi_listeners, members, json_text(given, "loadbalancer_listener_name"), NULL);
}

static json_t *add_listeners(struct cloudapi_call *call)
{
    const char *id = cloudapi_text(call, "loadbalancer");
    _cleanup_json_ json_t *given = cloudapi_objects(call, "listeners");
    size_t i = 0;
    json_t *one;
    if (cloudapi_find(call, &cloudapi_balancers, id) == NULL) {
        return id == NULL ? cloudapi_invalid("loadbalancer") : cloudapi_not_found(id);
    }
    if (json_array_size(given) == 0) {
        return cloudapi_invalid("listeners");
    }
    json_array_foreach (given, i, one) {
        json_t *refusal = check_listener(call, one, id);
        if (refusal != NULL) {
            return refusal;
        }
    }
    json_t *ids = json_array();
    json_array_foreach (given, i, one) {
        json_array_append(ids, json_object_get(new_listener(call, one, id), "loadbalancer_listener_id"));
    }
    not_applied(call, id);
    return cloudapi_done(json_pack("{s:o}", "loadbalancer_listeners", ids));
}

static json_t *delete_listeners(struct cloudapi_call *call)
{
    _cleanup_strv_ char **ids = cloudapi_list(call, "loadbalancer_listeners");
    for (char **id = ids; *id != NULL; id++) {
        const json_t *listener = cloudapi_find(call, &cloudapi_listeners, *id);
        if (listener == NULL) {
            return cloudapi_not_found(*id);
        }
    }
    for (char **id = ids; *id != NULL; id++) {
        const json_t *listener = cloudapi_find(call, &cloudapi_listeners, *id);
        if (listener != NULL) {
            not_applied(call, json_text(listener, "loadbalancer_id"));
            cloudapi_drop_listeners(call, "loadbalancer_listener_id", *id);
        }
    }
    return ids[0] == NULL ? cloudapi_invalid("loadbalancer_listeners") : cloudapi_done(NULL);
}

static json_t *check_backend(const struct cloudapi_call *call, const json_t *backend, const char *listener)
{
    const char *resource = json_text_or(backend, "resource_id", "");
    long port = 0;
    if (!str_number(json_text_or(backend, "port", ""), 1, MOST_PORT, &port)) {
        return cloudapi_invalid("port");
    }
    if (cloudapi_instance(call, resource) == NULL) {
        return cloudapi_not_found(resource);
    }
    size_t i = 0;
    json_t *entry;
    json_array_foreach (cloudapi_all(call, cloudapi_backends.list), i, entry) {
        if (belongs(entry, "loadbalancer_listener_id", listener) && belongs(entry, "resource_id", resource) &&
            json_integer_value(json_object_get(entry, "port")) == port) {
            return cloudapi_refuse(RET_DENIED, "PermissionDenied, backend [%s] port [%ld] already exists in [%s]",
                                   resource, port, listener);
        }
    }
    return NULL;
}

static json_t *add_backends(struct cloudapi_call *call)
{
    const char *id = cloudapi_text(call, "loadbalancer_listener");
    const json_t *listener = cloudapi_find(call, &cloudapi_listeners, id);
    _cleanup_json_ json_t *given = cloudapi_objects(call, "backends");
    size_t i = 0;
    json_t *one;
    if (listener == NULL) {
        return id == NULL ? cloudapi_invalid("loadbalancer_listener") : cloudapi_not_found(id);
    }
    if (json_array_size(given) == 0) {
        return cloudapi_invalid("backends");
    }
    json_array_foreach (given, i, one) {
        json_t *refusal = check_backend(call, one, id);
        if (refusal != NULL) {
            return refusal;
        }
    }
    const char *balancer = json_text_or(listener, "loadbalancer_id", "");
    json_t *ids = json_array();
    json_array_foreach (given, i, one) {
        long port = 0;
        (void)str_number(json_text_or(one, "port", ""), 1, MOST_PORT, &port);
        json_t *members =
            json_pack("{s:s, s:s, s:s, s:I, s:i}", "loadbalancer_id", balancer, "loadbalancer_listener_id", id,
                      "resource_id", json_text_or(one, "resource_id", ""), "port", (json_int_t)port, "weight", 1);
        json_t *backend =
            cloudapi_add(call, &cloudapi_backends, members, json_text(one, "loadbalancer_backend_name"), NULL);
        json_array_append(ids, json_object_get(backend, "loadbalancer_backend_id"));
    }
    not_applied(call, balancer);
    return cloudapi_done(json_pack("{s:o}", "loadbalancer_backends", ids));
}

static json_t *delete_backends(struct cloudapi_call *call)
{
    _cleanup_strv_ char **ids = cloudapi_list(call, "loadbalancer_backends");
    for (char **id = ids; *id != NULL; id++) {
        const json_t *backend = cloudapi_find(call, &cloudapi_backends, *id);
        if (backend == NULL) {
            return cloudapi_not_found(*id);
        }
        not_applied(call, json_text(backend, "loadbalancer_id"));
        cloudapi_drop(call, &cloudapi_backends, *id);
    }
    return ids[0] == NULL ? cloudapi_invalid("loadbalancer_backends") : cloudapi_done(NULL);
}

static json_t *describe_listeners(struct cloudapi_call *call)
{
    long verbose = 0;
    (void)cloudapi_number(call, "verbose", 0, 2, &verbose);
    return cloudapi_describe(call, &(struct cloudapi_description){.kind = &cloudapi_listeners,
                                                                  .set = "loadbalancer_listener_set",
                                                                  .ids = "loadbalancer_listeners",
                                                                  .filters = {{"loadbalancer", "loadbalancer_id"}},
                                                                  .render = verbose > 0 ? render : NULL});
}

static json_t *describe_backends(struct cloudapi_call *call)
{
    return cloudapi_describe(
        call, &(struct cloudapi_description){.kind = &cloudapi_backends,
                                             .set = "loadbalancer_backend_set",
                                             .ids = "loadbalancer_backends",
                                             .filters = {{"loadbalancer", "loadbalancer_id"},
                                                         {"loadbalancer_listener", "loadbalancer_listener_id"}}});
}

const struct cloudapi_action cloudapi_listener_actions[] = {{"AddLoadBalancerListeners", add_listeners},
                                                            {"DescribeLoadBalancerListeners", describe_listeners},
                                                            {"DeleteLoadBalancerListeners", delete_listeners},
                                                            {"AddLoadBalancerBackends", add_backends},
                                                            {"DescribeLoadBalancerBackends", describe_backends},
                                                            {"DeleteLoadBalancerBackends", delete_backends},
                                                            {NULL, NULL}};
