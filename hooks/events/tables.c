#include "hooks/events/tables.h"

#include <string.h>

#include "app/kube.h"
#include "lib/core/json.h"
#include "lib/crypto/crypto.h"

static json_t *new_table(const char *const *labels)
{
    json_t *names = json_array();
    for (; *labels != NULL; labels++) {
        json_array_append_new(names, json_string(*labels));
    }
    return json_pack("{so s[]}", "labels", names, "data");
}

/* CELLS are borrowed; NULL is an empty cell. */
static json_t *row_of(const char *const *cells, size_t count)
{
    json_t *row = json_array();
    for (size_t i = 0; i < count; i++) {
        /* A name from outside may not be UTF-8: the table is printed all the same. */
        json_t *cell = json_string(cells[i] == NULL ? "" : cells[i]);
        json_array_append_new(row, cell != NULL ? cell : json_string("?"));
    }
    return row;
}

static void add_row(json_t *table, const char *const *cells, size_t count)
{
    json_array_append_new(json_object_get(table, "data"), row_of(cells, count));
}

void table_cut(json_t *table)
{
    json_t *data = json_object_get(table, "data");
    size_t rows = json_array_size(data);
    if (rows <= TABLE_ROWS) {
        return;
    }
    size_t columns = json_array_size(json_object_get(table, "labels"));
    const char *cells[TABLE_COLUMNS] = {NULL};
    _cleanup_free_ char *rest = xasprintf("and %zu more", rows - TABLE_ROWS + 1);
    cells[0] = rest;
    while (json_array_size(data) >= TABLE_ROWS) {
        json_array_remove(data, json_array_size(data) - 1);
    }
    add_row(table, cells, columns);
}

static const char *internal_address(const json_t *node)
{
    size_t i = 0;
    const json_t *address = NULL;
    json_array_foreach (json_object_get(json_object_get(node, "status"), "addresses"), i, address) {
        const char *type = json_text_at(address, "type", NULL);
        if (type != NULL && strcmp(type, "InternalIP") == 0) {
            return json_text_at(address, "address", NULL);
        }
    }
    return NULL;
}

static bool add_node(json_t *table, const json_t *node, bool ready_ones)
{
    const char *ready = kube_condition(node, "Ready", NULL);
    bool is_ready = ready != NULL && strcmp(ready, "True") == 0;
    if (is_ready != ready_ones) {
        return false;
    }
    bool cordoned = json_is_true(json_object_get(json_object_get(node, "spec"), "unschedulable"));
    const char *const cells[] = {
        json_text_at(node, "metadata", "name", NULL),
        json_text_at(node, "metadata", "labels", "role", NULL),
        !is_ready  ? "NotReady"
        : cordoned ? "Ready,SchedulingDisabled"
                   : "Ready",
        json_text_at(node, "status", "nodeInfo", "kubeletVersion", NULL),
        internal_address(node),
    };
    add_row(table, cells, ELEMENTS(cells));
    return true;
}

json_t *nodes_table(const json_t *list)
{
    static const char *const labels[] = {"Name", "Role", "Status", "Version", "Address", NULL};
    json_t *table = new_table(labels);
    for (int ready = 0; ready <= 1; ready++) {
        size_t i = 0;
        const json_t *node = NULL;
        json_array_foreach (json_object_get(list, "items"), i, node) {
            (void)add_node(table, node, ready == 1);
        }
    }
    table_cut(table);
    return table;
}

/* The tag of the first container's image. */
static const char *version_of(const json_t *containers)
{
    const char *image = json_text_at(json_array_get(containers, 0), "image", NULL);
    const char *slash = image == NULL ? NULL : strrchr(image, '/');
    const char *tag = image == NULL ? NULL : strchr(slash == NULL ? image : slash, ':');
    return tag == NULL ? NULL : tag + 1;
}

static void add_pod(json_t *table, const json_t *pod, const json_t *healthy)
{
    const char *component = json_text_at(pod, "metadata", "labels", "component", NULL);
    const char *reason = NULL;
    const char *ready = kube_condition(pod, "Ready", &reason);
    bool reported = ready != NULL && strcmp(ready, "True") == 0;
    const json_t *probed = component == NULL ? NULL : json_object_get(healthy, component);
    bool is_ready = probed == NULL ? reported : json_is_true(probed);
    const char *const cells[] = {
        component,
        "control plane",
        is_ready ? "1/1" : "0/1",
        is_ready         ? "ready"
        : reported       ? "unhealthy"
        : reason != NULL ? reason
                         : json_text_at(pod, "status", "phase", NULL),
        version_of(json_object_get(json_object_get(pod, "spec"), "containers")),
    };
    add_row(table, cells, ELEMENTS(cells));
}

static void add_pods(json_t *table, const json_t *pods, const json_t *healthy)
{
    size_t i = 0;
    const json_t *pod = NULL;
    json_array_foreach (json_object_get(pods, "items"), i, pod) {
        add_pod(table, pod, healthy);
    }
}

/* DESIRED and READY are the names of the numbers in status. */
static void add_sets(json_t *table, const json_t *sets, const char *kind, const char *desired, const char *ready)
{
    size_t i = 0;
    const json_t *set = NULL;
    json_array_foreach (json_object_get(sets, "items"), i, set) {
        const json_t *status = json_object_get(set, "status");
        json_int_t wanted = json_integer_value(json_object_get(status, desired));
        json_int_t there = json_integer_value(json_object_get(status, ready));
        const json_t *template = json_object_get(json_object_get(set, "spec"), "template");
        _cleanup_free_ char *share = xasprintf("%lld/%lld", (long long)there, (long long)wanted);
        const char *const cells[] = {
            json_text_at(set, "metadata", "name", NULL),
            kind,
            share,
            there >= wanted ? "ready" : "not ready",
            version_of(json_object_get(json_object_get(template, "spec"), "containers")),
        };
        add_row(table, cells, ELEMENTS(cells));
    }
}

json_t *components_table(const json_t *pods, const json_t *healthy, const json_t *deployments,
                         const json_t *daemon_sets, const json_t *stateful_sets)
{
    static const char *const labels[] = {"Name", "Kind", "Ready", "Status", "Version", NULL};
    json_t *table = new_table(labels);
    add_pods(table, pods, healthy);
    add_sets(table, deployments, "Deployment", "replicas", "readyReplicas");
    add_sets(table, daemon_sets, "DaemonSet", "desiredNumberScheduled", "numberReady");
    add_sets(table, stateful_sets, "StatefulSet", "replicas", "readyReplicas");
    table_cut(table);
    return table;
}

static char *date_of(time_t time)
{
    return time_text(time, TIME_DATE);
}

json_t *certificates_table(const struct certificates *certificates, time_t now)
{
    static const char *const labels[] = {"File", "Name", "From", "To", "Days left", NULL};
    json_t *table = new_table(labels);
    for (size_t i = 0; i < certificates->n; i++) {
        const struct certificate *this = &certificates->list[i];
        if (this->problem != NULL) {
            const char *const cells[] = {this->path, "cannot be read", NULL, NULL, NULL};
            add_row(table, cells, ELEMENTS(cells));
            continue;
        }
        _cleanup_free_ char *from = date_of(this->info.not_before);
        _cleanup_free_ char *to = date_of(this->info.not_after);
        _cleanup_free_ char *left = xasprintf("%ld", cert_days_left(&this->info, now));
        const char *const cells[] = {this->path, this->info.subject, from, to, left};
        add_row(table, cells, ELEMENTS(cells));
    }
    table_cut(table);
    return table;
}

static void add_pair(json_t *table, const char *name, const char *value)
{
    const char *const cells[] = {name, value};
    add_row(table, cells, ELEMENTS(cells));
}

/* "kubernetes, until 2030-01-01" */
static char *describe(const char *pem)
{
    struct cert_info info __attribute__((cleanup(cert_info_free))) = {0};
    if (pem == NULL || cert_parse(pem, strlen(pem), &info, NULL) < 0) {
        return xstrdup("cannot be read");
    }
    _cleanup_free_ char *to = date_of(info.not_after);
    return xasprintf("%s, until %s", info.subject, to);
}

json_t *kubeconfig_table(const char *path, const struct kubeconfig *config, const char *dashboard, time_t now)
{
    static const char *const labels[] = {"Item", "Value", NULL};
    json_t *table = new_table(labels);
    _cleanup_free_ char *ca = describe(config->ca);
    _cleanup_free_ char *user = describe(config->cert);
    struct cert_info info __attribute__((cleanup(cert_info_free))) = {0};
    add_pair(table, "File", path);
    add_pair(table, "API server", config->server);
    add_pair(table, "CA", ca);
    add_pair(table, "User", user);
    if (config->cert != NULL && cert_parse(config->cert, strlen(config->cert), &info, NULL) == 0) {
        _cleanup_free_ char *left = xasprintf("%ld", cert_days_left(&info, now));
        add_pair(table, "Days left", left);
    }
    if (dashboard != NULL) {
        _cleanup_free_ char *way = xasprintf("run k8s-dashboard on the client (%s)", dashboard);
        add_pair(table, "Dashboard", way);
    }
    return table;
}
