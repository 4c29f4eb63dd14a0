#include "tests/lab/lab/cluster/package.h"

#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/text/mustache.h"
#include "tests/lab/lab/form/form.h"

/* What the user must fill in, for there is no default. */
static const struct {
    const char *group, *key, *value;
} filled_in[] = {
    {"cluster", "vxnet", "vxnet-lab0000"},
    {"env", "access_key_id", "LABLABLABLABLABLABLA"},
    {"env", "secret_access_key", "lab0000000000000000000000000000000000lab"},
};

/* AppCenter puts each value in as JSON text. */
static json_t *encoded(const json_t *value)
{
    _cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY);
    return json_string(text == NULL ? "\"\"" : text);
}

static void put_dotted(json_t *context, const char *key, json_t *value)
{
    const char *dot = strchr(key, '.');
    if (dot == NULL) {
        json_object_set(context, key, value);
        return;
    }
    _cleanup_free_ char *first = xstrndup(key, (size_t)(dot - key));
    if (!json_is_object(json_object_get(context, first))) {
        json_object_set_new(context, first, json_object());
    }
    put_dotted(json_object_get(context, first), dot + 1, value);
}

/* VALUES with each of them encoded. */
static json_t *encoded_all(const json_t *values)
{
    json_t *context = json_object();
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)values, key, value) {
        json_t *text = json_is_object(value) ? encoded_all(value) : encoded(value);
        /* {{env.web.console}} is "web.console" of env */
        if (strchr(key, '.') != NULL) {
            put_dotted(context, key, text);
        }
        json_object_set_new(context, key, text);
    }
    return context;
}

json_t *package_filled_in(void)
{
    json_t *values = json_object();
    for (size_t i = 0; i < ELEMENTS(filled_in); i++) {
        if (json_object_get(values, filled_in[i].group) == NULL) {
            json_object_set_new(values, filled_in[i].group, json_object());
        }
        json_object_set_new(json_object_get(values, filled_in[i].group), filled_in[i].key,
                            json_string(filled_in[i].value));
    }
    return values;
}

static int form_context(const char *directory, const json_t *values, json_t **context, struct error **err)
{
    _cleanup_json_ json_t *form = NULL;
    if (form_load(directory, &form, err) != 0) {
        return -1;
    }
    _cleanup_json_ json_t *entered = package_filled_in();
    json_object_update_recursive(entered, (json_t *)values);
    _cleanup_json_ json_t *all = form_values(form, entered);
    *context = encoded_all(all);
    return 0;
}

int package_load(const char *directory, const json_t *values, json_t **package, struct error **err)
{
    _cleanup_free_ char *path = path_join(directory, "cluster.json.mustache");
    _cleanup_free_ char *text = NULL;
    size_t len;
    _cleanup_json_ json_t *context = NULL;
    _cleanup_buffer_ struct buffer filled = {0};
    struct mustache_options options = {.format = FORMAT_PLAIN, .strict = true};
    if (form_context(directory, values, &context, err) != 0 || file_read(path, 0, &text, &len, err) != 0 ||
        mustache_render(path, text, len, context, &options, &filled, err) != 0) {
        return -1;
    }
    json_error_t why;
    *package = json_loadb(filled.data, filled.len, 0, &why);
    if (*package == NULL) {
        return error_new(err, STATUS_TEMPLATE, "%s, filled in, line %d: %s", path, why.line, why.text);
    }
    return 0;
}

static json_t *text_of(const json_t *value)
{
    _cleanup_free_ char *text =
        json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
    return json_string(text);
}

static void add_env(const json_t *from, json_t *env)
{
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(from, "env"), key, value) {
        json_object_set_new(env, key, text_of(value));
    }
}

void package_env(const json_t *package, json_t *env)
{
    size_t i;
    json_t *node;
    json_array_foreach (json_object_get(package, "nodes"), i, node) {
        add_env(node, env);
    }
    add_env(package, env);
}

void package_endpoints(const json_t *package, json_t *endpoints)
{
    const char *name;
    const char *key;
    json_t *endpoint;
    json_t *value;
    json_object_foreach (json_object_get(package, "endpoints"), name, endpoint) {
        json_t *texts = json_object();
        json_object_foreach (endpoint, key, value) {
            json_object_set_new(texts, key, text_of(value));
        }
        json_object_set_new(endpoints, name, texts);
    }
}

/* "hbase_master" of the form is "hbase-master" of cluster.json in some packages. */
static bool same_role(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        if (*a != *b && !(*a == '-' && *b == '_')) {
            return false;
        }
    }
    return *a == *b;
}

/* The only one of a package has no name in some. */
static const json_t *role_of(const json_t *package, const char *role)
{
    const json_t *nodes = json_object_get(package, "nodes");
    size_t i;
    json_t *node;
    json_array_foreach (nodes, i, node) {
        if (same_role(json_text_or(node, "role", ""), role)) {
            return node;
        }
    }
    return json_array_size(nodes) == 1 ? json_array_get(nodes, 0) : NULL;
}

const char *package_role(const json_t *package, const char *role)
{
    const char *name = json_text(role_of(package, role), "role");
    return str_empty(name) ? NULL : name;
}

/* What all roles have may stand once, beside them. */
static const json_t *of_role(const json_t *package, const char *role, const char *key)
{
    const json_t *own = json_object_get(role_of(package, role), key);
    return own != NULL ? own : json_object_get(package, key);
}

bool package_has_keys(const json_t *package, const char *role)
{
    return of_role(package, role, "passphraseless") != NULL;
}

bool package_scales(const json_t *package, const char *role)
{
    size_t i;
    json_t *action;
    json_array_foreach (of_role(package, role, "advanced_actions"), i, action) {
        if (strcmp(json_string_value(action), "scale_horizontal") == 0) {
            return true;
        }
    }
    return false;
}

bool package_resizes_in_turn(const json_t *package, const char *role)
{
    const char *policy = json_string_value(of_role(package, role, "vertical_scaling_policy"));
    return policy != NULL && strcmp(policy, "sequential") == 0;
}

int package_instance_class(const json_t *package, const char *directory, const char *zone, const char *role)
{
    int class = (int)json_integer_value(json_object_get(role_of(package, role), "instance_class"));
    _cleanup_free_ char *path = path_join(directory, "replace_policy.json");
    _cleanup_free_ char *text = xasprintf("%d", class);
    _cleanup_json_ json_t *policy = NULL;
    (void)file_read_json(path, &policy, NULL); /* few packages have one */
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(json_object_get(policy, zone), "instance_class"), i, one) {
        if (strcmp(json_text_or(one, "src", ""), text) == 0) {
            return (int)json_integer_value(json_object_get(one, "dst"));
        }
    }
    return class;
}

static bool found(const json_t *object, const char *command, const char *timeout, int usual, struct service *service)
{
    *service = (struct service){
        .command = json_text(object, command),
        .order = (int)json_integer_value(json_object_get(object, "order")),
        .timeout = (int)json_integer_value(json_object_get(object, timeout)),
        .post_start = json_is_true(json_object_get(object, "post_start_service")),
        .post_stop = json_is_true(json_object_get(object, "post_stop_service")),
        .params = json_object_get(object, "service_params"),
    };
    service->timeout = service->timeout == 0 ? usual : service->timeout;
    return service->command != NULL;
}

static bool tab_of(const json_t *package, const char *role, const char *name, struct service *service)
{
    const json_t *tab = json_object_get(json_object_get(package, "display_tabs"), name);
    size_t i;
    json_t *on;
    json_array_foreach (json_object_get(tab, "roles_to_execute_on"), i, on) {
        if (strcmp(json_string_value(on), role) == 0) {
            return found(tab, "cmd", "timeout", 10, service);
        }
    }
    return false;
}

bool package_service(const json_t *package, const char *role, const char *event, struct service *service)
{
    const json_t *health = of_role(package, role, "health_check");
    if (strcmp(event, "check") == 0) {
        return found(health, "check_cmd", "timeout_sec", 10, service);
    }
    if (strcmp(event, "action") == 0) {
        return found(health, "action_cmd", "action_timeout_sec", 30, service);
    }
    if (strcmp(event, "monitor") == 0) {
        return found(of_role(package, role, "monitor"), "cmd", "timeout_sec", 5, service);
    }
    if (strcmp(event, "custom_metadata") == 0) {
        return found(of_role(package, role, "custom_metadata"), "cmd", "timeout", 600, service);
    }
    if (str_starts(event, "tab ")) {
        return tab_of(package, role, event + 4, service);
    }
    const char *dot = strchr(event, '.');
    _cleanup_free_ char *name = dot == NULL ? xstrdup(event) : xstrndup(event, (size_t)(dot - event));
    const json_t *entry = json_object_get(of_role(package, role, "services"), name);
    if (dot == NULL) {
        return found(entry, "cmd", "timeout", 600, service);
    }
    /* comes first, whenever the service itself does */
    bool there = found(entry, "pre_check", "timeout", 600, service);
    service->post_start = service->post_stop = false;
    return there;
}

/* The member KEY of OBJECT where it is a number of at least 1. */
static int figure(const json_t *object, const char *key, int usual)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value < 1 || value > 1000000 ? usual : (int)value;
}

bool package_health(const json_t *package, const char *role, struct health_check *check)
{
    const json_t *health = of_role(package, role, "health_check");
    *check = (struct health_check){.interval_s = figure(health, "interval_sec", 60),
                                   .healthy = figure(health, "healthy_threshold", 3),
                                   .unhealthy = figure(health, "unhealthy_threshold", 3)};
    return json_text(health, "check_cmd") != NULL && !json_is_false(json_object_get(health, "enable"));
}

const json_t *package_monitor_items(const json_t *package, const char *role)
{
    return json_object_get(of_role(package, role, "monitor"), "items");
}
