#include "app/facts/storage_types.h"

#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"

enum { END = -1 };

#define PREFIX "qingcloud-storageclass"

/* What the driver calls the classes in a node's topology. */
static const struct instance_class {
    int class;
    const char *name;
    int performance[4], capacity[4]; /* the best first */
} instance_classes[] = {
    {0, "HighPerformance", {0, 100, 5, END}, {2, 6, END}}, {1, "SuperHighPerformance", {3, 200, 5, END}, {2, 6, END}},
    {6, "SuperHighPerformanceSAN", {5, END}, {5, END}},    {7, "HighPerformanceSAN", {6, END}, {6, END}},
    {101, "Standard", {100, 0, 5, END}, {2, 6, END}},      {201, "Enterprise1", {200, 3, 5, END}, {2, 6, END}},
    {202, "Enterprise2", {200, 3, 5, END}, {2, 6, END}},   {301, "Premium", {200, 3, 5, END}, {2, 6, END}},
};

static const struct volume_type {
    const char *suffix;
    int type;
    int classes[9];
} volume_types[] = {
    {"high-performance", 0, {0, 101, END}},
    {"high-capacity", 2, {0, 1, 101, 201, 202, 301, END}},
    {"super-high-performance", 3, {1, 201, 202, 301, END}},
    {"neonsan", 5, {0, 1, 6, 101, 201, 202, 301, END}},
    {"neonsan-hdd", 6, {0, 1, 7, 101, 201, 202, 301, END}},
    {"standard", 100, {0, 101, END}},
    {"ssd-enterprise", 200, {1, 201, 202, 301, END}},
};

static bool among(const int *list, int value)
{
    for (; *list != END; list++) {
        if (*list == value) {
            return true;
        }
    }
    return false;
}

static const struct volume_type *type_of(int type)
{
    for (size_t i = 0; i < ELEMENTS(volume_types); i++) {
        if (volume_types[i].type == type) {
            return &volume_types[i];
        }
    }
    return NULL;
}

static const struct instance_class *class_of(int class)
{
    for (size_t i = 0; i < ELEMENTS(instance_classes); i++) {
        if (instance_classes[i].class == class) {
            return &instance_classes[i];
        }
    }
    return NULL;
}

bool volume_type_attaches(int type, int class)
{
    const struct volume_type *of = type_of(type);
    return of != NULL && among(of->classes, class);
}

int volume_type_for(int class, bool capacity, const int *valid)
{
    const struct instance_class *of = class_of(class);
    if (of == NULL) {
        return -1;
    }
    const int *best = capacity ? of->capacity : of->performance;
    bool known = valid != NULL && *valid != END;
    for (const int *type = best; known && *type != END; type++) {
        if (among(valid, *type)) {
            return *type;
        }
    }
    for (const int *type = valid; known && *type != END; type++) {
        if (volume_type_attaches(*type, class)) {
            return *type;
        }
    }
    return *best;
}

/* That of templates/appcenter/cluster.json. */
static int class_of_package(const char *role)
{
    return strcmp(role, "ssd_node") == 0 ? 1 : 0;
}

int instance_class_of(const struct facts *facts, const json_t *classes, const char *role)
{
    const json_t *answered = json_object_get(classes, role);
    const struct host *host = facts_host(facts, role, 0);
    int class = json_is_integer(answered) ? (int)json_integer_value(answered)
                : host != NULL            ? host->instance_class
                                          : CLASS_UNKNOWN;
    return class_of(class) != NULL ? class : class_of_package(role);
}

static bool has_role(const struct facts *facts, const char *role)
{
    const struct host *host = NULL;
    for (size_t i = 0; (host = facts_host(facts, role, i)) != NULL; i++) {
        if (!host->deleting) {
            return true;
        }
    }
    return false;
}

/* Whether some host with a kubelet does not take TYPE, or each does. */
static bool restricted(const struct facts *facts, const json_t *classes, int type)
{
    for (size_t i = 0; i < facts->n_hosts; i++) {
        const struct host *host = &facts->hosts[i];
        if (host->is->node && !volume_type_attaches(type, instance_class_of(facts, classes, host->role))) {
            return true;
        }
    }
    return false;
}

static json_t *storage_class(const struct facts *facts, const json_t *classes, const char *name, int type)
{
    json_t *instance_types = json_array();
    for (const int *class = type_of(type)->classes; *class != END; class ++) {
        json_array_append_new(instance_types, json_pack("{ss}", "value", class_of(*class)->name));
    }
    return json_pack("{ss si sb sb so}", "name", name, "type", type, "default", strcmp(name, PREFIX) == 0, "restricted",
                     restricted(facts, classes, type), "instance_types", instance_types);
}

json_t *facts_storage(const struct facts *facts, const json_t *classes)
{
    static const char *const roles[] = {"node", "ssd_node", "master"};
    const int *valid = facts->cluster.volume_types;
    const char *role = "log";
    for (size_t i = ELEMENTS(roles); i-- > 0;) {
        role = has_role(facts, roles[i]) ? roles[i] : role;
    }
    int class = instance_class_of(facts, classes, role);
    int type = volume_type_for(class, false, valid);
    json_t *list = json_array();
    json_array_append_new(list, storage_class(facts, classes, PREFIX, type));
    json_array_append_new(list, storage_class(facts, classes, PREFIX "-capacity", volume_type_for(class, true, valid)));
    int other = volume_type_for(instance_class_of(facts, classes, "ssd_node"), false, valid);
    if (strcmp(role, "node") == 0 && has_role(facts, "ssd_node") && other != type) {
        const int both[] = {type, other};
        for (size_t i = 0; i < ELEMENTS(both); i++) {
            _cleanup_free_ char *name = xasprintf(PREFIX "-%s", type_of(both[i])->suffix);
            json_array_append_new(list, storage_class(facts, classes, name, both[i]));
        }
    }
    return json_pack("{so}", "classes", list);
}
