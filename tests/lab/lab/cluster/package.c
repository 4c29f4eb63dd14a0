#include "tests/lab/lab/cluster/package.h"

#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/text/mustache.h"
#include "tests/lab/lab/form/form.h"

#define DIRECTORY "templates/appcenter"

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

/* VALUES with each of them encoded. */
static json_t *encoded_all(const json_t *values)
{
    json_t *context = json_object();
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)values, key, value) {
        json_object_set_new(context, key, json_is_object(value) ? encoded_all(value) : encoded(value));
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

static int form_context(const char *source, const json_t *values, json_t **context, struct error **err)
{
    _cleanup_json_ json_t *form = NULL;
    if (form_load(source, &form, err) != 0) {
        return -1;
    }
    _cleanup_json_ json_t *entered = package_filled_in();
    json_object_update_recursive(entered, (json_t *)values);
    _cleanup_json_ json_t *all = form_values(form, entered);
    *context = encoded_all(all);
    return 0;
}

int package_load(const char *source, const json_t *values, json_t **package, struct error **err)
{
    _cleanup_free_ char *path = path_join(source, DIRECTORY "/cluster.json.mustache");
    _cleanup_free_ char *text = NULL;
    size_t len;
    _cleanup_json_ json_t *context = NULL;
    _cleanup_buffer_ struct buffer filled = {0};
    struct mustache_options options = {.format = FORMAT_PLAIN, .strict = true};
    if (form_context(source, values, &context, err) != 0 || file_read(path, 0, &text, &len, err) != 0 ||
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

void package_env(const json_t *package, json_t *env)
{
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(package, "env"), key, value) {
        _cleanup_free_ char *text =
            json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
        json_object_set_new(env, key, json_string(text));
    }
}

static const json_t *role_of(const json_t *package, const char *role)
{
    size_t i;
    json_t *node;
    json_array_foreach (json_object_get(package, "nodes"), i, node) {
        const char *name = json_text(node, "role");
        if (name != NULL && strcmp(name, role) == 0) {
            return node;
        }
    }
    return NULL;
}

bool package_has_keys(const json_t *package, const char *role)
{
    return json_object_get(role_of(package, role), "passphraseless") != NULL;
}

bool package_scales(const json_t *package, const char *role)
{
    size_t i;
    json_t *action;
    json_array_foreach (json_object_get(role_of(package, role), "advanced_actions"), i, action) {
        if (strcmp(json_string_value(action), "scale_horizontal") == 0) {
            return true;
        }
    }
    return false;
}

bool package_resizes_in_turn(const json_t *package, const char *role)
{
    const char *policy = json_text(role_of(package, role), "vertical_scaling_policy");
    return policy != NULL && strcmp(policy, "sequential") == 0;
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
    const json_t *node = role_of(package, role);
    const json_t *health = json_object_get(node, "health_check");
    if (strcmp(event, "check") == 0) {
        return found(health, "check_cmd", "timeout_sec", 10, service);
    }
    if (strcmp(event, "action") == 0) {
        return found(health, "action_cmd", "action_timeout_sec", 30, service);
    }
    if (strcmp(event, "monitor") == 0) {
        return found(json_object_get(node, "monitor"), "cmd", "timeout_sec", 5, service);
    }
    if (strcmp(event, "custom_metadata") == 0) {
        return found(json_object_get(node, "custom_metadata"), "cmd", "timeout", 600, service);
    }
    if (str_starts(event, "tab ")) {
        return tab_of(package, role, event + 4, service);
    }
    const char *dot = strchr(event, '.');
    _cleanup_free_ char *name = dot == NULL ? xstrdup(event) : xstrndup(event, (size_t)(dot - event));
    const json_t *entry = json_object_get(json_object_get(node, "services"), name);
    return found(entry, dot == NULL ? "cmd" : "pre_check", "timeout", 600, service);
}

/* The member KEY of OBJECT where it is a number of at least 1. */
static int figure(const json_t *object, const char *key, int usual)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value < 1 || value > 1000000 ? usual : (int)value;
}

bool package_health(const json_t *package, const char *role, struct health_check *check)
{
    const json_t *health = json_object_get(role_of(package, role), "health_check");
    *check = (struct health_check){.interval_s = figure(health, "interval_sec", 60),
                                   .healthy = figure(health, "healthy_threshold", 3),
                                   .unhealthy = figure(health, "unhealthy_threshold", 3)};
    return json_text(health, "check_cmd") != NULL && !json_is_false(json_object_get(health, "enable"));
}

const json_t *package_monitor_items(const json_t *package, const char *role)
{
    return json_object_get(json_object_get(role_of(package, role), "monitor"), "items");
}
