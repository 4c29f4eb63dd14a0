#include "tests/lab/lab/verbs/counts.h"

#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/lab/form/form.h"

const char **counts_roles(const json_t *config)
{
    const json_t *properties = json_object_get(form_property(config, "cluster"), "properties");
    const char **roles = xcalloc(json_array_size(properties) + 1, sizeof *roles);
    size_t n = 0;
    size_t i;
    json_t *property;
    json_array_foreach (properties, i, property) {
        if (form_property(property, "count") != NULL) {
            roles[n++] = json_text(property, "key");
        }
    }
    return roles;
}

bool counts_has_role(const json_t *config, const char *role)
{
    _cleanup_free_ char *key = xasprintf("cluster.%s.count", role);
    return strchr(role, '.') == NULL && form_property(config, key) != NULL;
}

/* The role as the form has it, so that it outlives WORD. */
static const char *role_of(const json_t *config, const char *word, size_t len)
{
    _cleanup_free_ const char **roles = counts_roles(config);
    for (const char **role = roles; *role != NULL; role++) {
        if (strlen(*role) == len && strncmp(*role, word, len) == 0) {
            return *role;
        }
    }
    return NULL;
}

static int refuse(const json_t *config, const char *word, struct error **err)
{
    _cleanup_free_ const char **roles = counts_roles(config);
    _cleanup_buffer_ struct buffer names = {0};
    buffer_puts(&names, "");
    for (const char **role = roles; *role != NULL; role++) {
        buffer_printf(&names, " %s", *role);
    }
    return error_new(err, STATUS_USAGE, "'%s' is not ROLE=N with N of 0 to 100 and ROLE one of:%s", word, names.data);
}

struct role_count *counts_parse(const json_t *config, char *const *words, struct error **err)
{
    struct role_count *counts = xcalloc(strv_length(words) + 1, sizeof *counts);
    for (size_t i = 0; words[i] != NULL; i++) {
        const char *equals = strchr(words[i], '=');
        const char *role = equals == NULL ? NULL : role_of(config, words[i], (size_t)(equals - words[i]));
        long count = 0;
        if (role == NULL || !str_number(equals + 1, 0, 100, &count)) {
            (void)refuse(config, words[i], err);
            free(counts);
            return NULL;
        }
        counts[i] = (struct role_count){role, (int)count};
    }
    return counts;
}

static void put(json_t *values, const char *role, int count)
{
    json_t *one = json_pack("{s{s{si}}}", "cluster", role, "count", count);
    json_object_update_recursive(values, one);
    json_decref(one);
}

int counts_enter(const json_t *config, char *const *words, json_t *values, struct error **err)
{
    _cleanup_free_ struct role_count *counts = counts_parse(config, words, err);
    _cleanup_free_ const char **roles = counts_roles(config);
    if (counts == NULL) {
        return -1;
    }
    for (const char **role = roles; *role != NULL; role++) {
        put(values, *role, 0);
    }
    for (const struct role_count *count = counts; count->role != NULL; count++) {
        put(values, count->role, count->count);
    }
    return 0;
}

struct role_count *counts_of(const json_t *config, const json_t *values)
{
    _cleanup_json_ json_t *all = form_values(config, values);
    _cleanup_free_ const char **roles = counts_roles(config);
    size_t n = 0;
    while (roles[n] != NULL) {
        n++;
    }
    struct role_count *counts = xcalloc(n + 1, sizeof *counts);
    size_t filled = 0;
    for (const char **role = roles; *role != NULL; role++) {
        const json_t *of_role = json_object_get(json_object_get(all, "cluster"), *role);
        int count = (int)json_integer_value(json_object_get(of_role, "count"));
        if (count > 0) {
            counts[filled++] = (struct role_count){*role, count};
        }
    }
    return counts;
}
