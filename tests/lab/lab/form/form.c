#include "tests/lab/lab/form/form.h"

#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "lib/system/file.h"
#include "tests/lab/lab/form/locale.h"
#include "tests/lab/lab/form/rules.h"

int form_load(const char *directory, json_t **form, struct error **err)
{
    _cleanup_free_ char *path = path_join(directory, "config.json");
    json_error_t why;
    *form = json_load_file(path, 0, &why);
    return *form != NULL ? 0 : error_new(err, STATUS_FILE, "%s:%d: %s", path, why.line, why.text);
}

/* What KEY, or its beginning, names right below PROPERTY; *len is of that. A name may have dots itself. */
static const json_t *child(const json_t *property, const char *key, size_t *len)
{
    const json_t *found = NULL;
    size_t i;
    json_t *below;
    *len = 0;
    json_array_foreach (json_object_get(property, "properties"), i, below) {
        const char *name = json_text_or(below, "key", "");
        size_t length = strlen(name);
        if (length > *len && strncmp(name, key, length) == 0 && (key[length] == '\0' || key[length] == '.')) {
            found = below;
            *len = length;
        }
    }
    return found;
}

const json_t *form_property(const json_t *config, const char *key)
{
    while (config != NULL && *key != '\0') {
        size_t len;
        config = child(config, key, &len);
        key += len + (key[len] == '.');
    }
    return config;
}

/* The group that KEY would be in: its part before the last ".". */
static const json_t *group_of(const json_t *config, const char *key)
{
    const char *dot = strrchr(key, '.');
    _cleanup_free_ char *group = xstrndup(key, dot == NULL ? 0 : (size_t)(dot - key));
    const json_t *property = form_property(config, group);
    return property == NULL ? config : property;
}

static const json_t *known(const struct form *form, const char *key, struct error **err)
{
    const json_t *property = form_property(form->config, key);
    if (property == NULL) {
        _cleanup_free_ char *names = rule_names(group_of(form->config, key));
        (void)rule_refuse(form, key, NULL, FORM_UNKNOWN, names, err);
        return NULL;
    }
    return property;
}

int form_check(const struct form *form, const char *key, const char *value, bool change, struct error **err)
{
    const json_t *property = known(form, key, err);
    if (property == NULL) {
        return -1;
    }
    if (change && json_is_false(json_object_get(property, "changeable"))) {
        return rule_refuse(form, key, property, FORM_FIXED, "", err);
    }
    _cleanup_json_ json_t *parsed = rule_parse(form, key, property, value, err);
    return parsed == NULL ? -1 : rule_check(form, key, property, parsed, err);
}

/* VALUE at KEY, which is below PROPERTY, of VALUES, the objects above it made; takes the reference. */
static void put(const json_t *property, json_t *values, const char *key, json_t *value)
{
    size_t len;
    const json_t *below = child(property, key, &len);
    if (below == NULL || key[len] == '\0') {
        json_object_set_new(values, key, value);
        return;
    }
    _cleanup_free_ char *first = xstrndup(key, len);
    if (!json_is_object(json_object_get(values, first))) {
        json_object_set_new(values, first, json_object());
    }
    put(below, json_object_get(values, first), key + len + 1, value);
}

/* "max_pods" is "env.max_pods"; the caller frees. */
static char *full_key(const json_t *config, const char *word, size_t len)
{
    _cleanup_free_ char *key = xstrndup(word, len);
    _cleanup_free_ char *of_env = xasprintf("env.%s", key);
    bool bare =
        strchr(key, '.') == NULL || (form_property(config, key) == NULL && form_property(config, of_env) != NULL);
    return bare ? STEAL(of_env) : STEAL(key);
}

int form_enter(const struct form *form, json_t *values, const char *assignment, bool unchecked, struct error **err)
{
    const char *equals = strchr(assignment, '=');
    if (equals == NULL) {
        return error_new(err, STATUS_USAGE, "'%s' is not KEY=VALUE, as env.max_pods=80", assignment);
    }
    _cleanup_free_ char *key = full_key(form->config, assignment, (size_t)(equals - assignment));
    const json_t *property = known(form, key, err);
    json_t *value = property == NULL ? NULL : rule_parse(form, key, property, equals + 1, err);
    if (value == NULL || (!unchecked && rule_check(form, key, property, value, err) != 0)) {
        json_decref(value);
        return -1;
    }
    put(form->config, values, key, value);
    return 0;
}

static int check_group(const struct form *form, const char *path, const json_t *values, struct error **err)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)values, key, value) {
        _cleanup_free_ char *below = *path == '\0' ? xstrdup(key) : xasprintf("%s.%s", path, key);
        const json_t *property = known(form, below, err);
        if (property == NULL) {
            return -1;
        }
        bool group = json_object_get(property, "properties") != NULL;
        if (group && json_is_object(value) ? check_group(form, below, value, err) != 0
                                           : rule_check(form, below, property, value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* What is required and has no default must be in VALUES or in FILLED_IN; but a service's parameters are entered when it
 * is run. */
static int check_required(const struct form *form, const char *path, const json_t *property, const json_t *values,
                          const json_t *filled_in, struct error **err)
{
    size_t i;
    json_t *below;
    json_array_foreach (json_object_get(property, "properties"), i, below) {
        const char *key = json_text(below, "key");
        const json_t *value = json_object_get(values, key);
        const json_t *filled = json_object_get(filled_in, key);
        _cleanup_free_ char *name = *path == '\0' ? xstrdup(key) : xasprintf("%s.%s", path, key);
        if (*path == '\0' && strcmp(key, "service_params") == 0) {
            continue;
        }
        if (json_object_get(below, "properties") != NULL) {
            if (check_required(form, name, below, value, filled, err) != 0) {
                return -1;
            }
        } else if (value == NULL && filled == NULL && rule_required(below) && !rule_has_default(below)) {
            return rule_refuse(form, name, below, FORM_REQUIRED, "", err);
        }
    }
    return 0;
}

int form_check_values(const struct form *form, const json_t *values, const json_t *filled_in, struct error **err)
{
    if (!json_is_object(values)) {
        return error_new(err, STATUS_USAGE, "the values are not a JSON object");
    }
    return check_group(form, "", values, err) == 0 ? check_required(form, "", form->config, values, filled_in, err)
                                                   : -1;
}

int form_check_count(const struct form *form, const char *role, long count, struct error **err)
{
    _cleanup_free_ char *key = xasprintf("cluster.%s.count", role);
    _cleanup_json_ json_t *value = json_integer(count);
    const json_t *property = known(form, key, err);
    return property == NULL ? -1 : rule_check(form, key, property, value, err);
}

json_t *form_values(const json_t *config, const json_t *values)
{
    json_t *all = json_object();
    size_t i;
    json_t *property;
    json_array_foreach (json_object_get(config, "properties"), i, property) {
        const char *key = json_text(property, "key");
        json_t *value = json_object_get(values, key);
        json_t *usual = json_object_get(property, "default");
        if (json_object_get(property, "properties") != NULL) {
            json_object_set_new(all, key, form_values(property, value));
        } else {
            json_object_set_new(all, key,
                                value != NULL   ? json_incref(value)
                                : usual != NULL ? json_incref(usual)
                                                : json_string(""));
        }
    }
    return all;
}
