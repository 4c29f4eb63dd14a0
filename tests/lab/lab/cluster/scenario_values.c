#include "tests/lab/lab/cluster/scenario_values.h"

#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/lab/cluster/package.h"

static int check_keys(const json_t *values, struct error **err)
{
    static const char *const known[] = {"counts", "env", "metadata", "profile", "zone"};
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)values, key, value) {
        bool found = false;
        for (size_t i = 0; i < ELEMENTS(known); i++) {
            found = found || strcmp(key, known[i]) == 0;
        }
        if (!found) {
            return error_new(err, STATUS_USAGE, "'%s' is not one of counts, env, metadata, profile, zone", key);
        }
    }
    return 0;
}

static int enter(const struct form *form, json_t *entered, const char *group, const char *key, const char *rest,
                 const json_t *value, struct error **err)
{
    _cleanup_free_ char *text =
        json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
    _cleanup_free_ char *assignment = xasprintf("%s.%s%s=%s", group, key, rest, text);
    return form_enter(form, entered, assignment, false, err);
}

static int enter_all(const struct form *form, json_t *entered, const json_t *values, struct error **err)
{
    const json_t *counts = json_object_get(values, "counts");
    _cleanup_json_ json_t *none = json_integer(0);
    const json_t *roles = json_object_get(form_property(form->config, "cluster"), "properties");
    const char *key;
    json_t *value;
    size_t i;
    json_t *role;
    json_object_foreach ((json_t *)counts, key, value) {
        if (enter(form, entered, "cluster", key, ".count", value, err) != 0) {
            return -1;
        }
    }
    json_array_foreach (roles, i, role) {
        key = json_text(role, "key");
        if (form_property(role, "count") != NULL && json_object_get(counts, key) == NULL &&
            enter(form, entered, "cluster", key, ".count", none, err) != 0) {
            return -1;
        }
    }
    json_object_foreach (json_object_get(values, "env"), key, value) {
        if (enter(form, entered, "env", key, "", value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int scenario_values_check(const struct form *form, const char *path, const json_t *values, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    _cleanup_json_ json_t *entered = json_object();
    _cleanup_json_ json_t *filled_in = package_filled_in();
    if (!json_is_object(values)) {
        return error_new(err, STATUS_USAGE, "%s: not an object with counts and env", path);
    }
    if (check_keys(values, &why) == 0 && enter_all(form, entered, values, &why) == 0 &&
        form_check_values(form, entered, filled_in, &why) == 0) {
        return 0;
    }
    return error_new(err, why->status, "%s: %s", path, why->message);
}
