/* Topology of volumes, after pkg/controller/topology.go of kubernetes-csi/external-provisioner v3.6.4. A term is an
 * object of labels. */
#include "tests/lab/images/csi-provisioner/provisioner.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/protobuf.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "key#value,..." with the keys sorted: by this the real one tells and orders terms. The caller frees. */
static char *term_text(const json_t *term)
{
    _cleanup_strv_ char **parts = xcalloc(1, sizeof *parts);
    char *text = xstrdup("");
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)term, key, value) {
        _cleanup_free_ char *part = xasprintf("%s#%s", key, json_string_value(value));
        strv_push(&parts, part);
    }
    qsort(parts, strv_length(parts), sizeof *parts, by_text);
    for (char **part = parts; *part != NULL; part++) {
        char *longer = xasprintf("%s%s%s", text, text[0] == '\0' ? "" : ",", *part);
        free(text);
        text = longer;
    }
    return text;
}

static bool is_subset(const json_t *term, const json_t *of)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)term, key, value) {
        if (!json_equal(value, json_object_get(of, key))) {
            return false;
        }
    }
    return true;
}

/* The labels of NODE for KEYS; NULL when it lacks one. A new reference. */
static json_t *node_term(const json_t *node, const json_t *keys)
{
    json_t *term = json_object();
    size_t i;
    json_t *key;
    json_array_foreach ((json_t *)keys, i, key) {
        json_t *label = json_object_get(json_at(node, "metadata labels"), json_string_value(key));
        if (label == NULL) {
            json_decref(term);
            return NULL;
        }
        json_object_set(term, json_string_value(key), label);
    }
    return term;
}

/* In *KEYS the topology keys of the driver on the node that the scheduler chose, in *TERM that node's. False and *WHY
 * when one is missing. New references. */
static bool selected(const struct topology_wish *wish, json_t **keys, json_t **term, char **why)
{
    _cleanup_free_ char *csi_path = xasprintf("/apis/storage.k8s.io/v1/csinodes/%s", wish->node);
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", wish->node);
    _cleanup_json_ json_t *csi_node = cluster_get(csi_path);
    _cleanup_json_ json_t *node = cluster_get(path);
    if (csi_node == NULL) {
        *why = xasprintf("error getting CSINode for selected node \"%s\": not found", wish->node);
        return false;
    }
    *keys = json_incref(json_object_get(csi_node_driver(csi_node, wish->driver), "topologyKeys"));
    if (json_array_size(*keys) == 0) {
        *why = xasprintf("no topology key found on CSINode %s", wish->node);
        return false;
    }
    *term = node_term(node, *keys);
    if (*term == NULL) {
        *why = xasprintf("topology labels from selected node %s does not match topology keys from CSINode", wish->node);
    }
    return *term != NULL;
}

/* Without a chosen node: the keys of the first node that the driver is on. A new reference, or NULL. */
static json_t *first_keys(const char *driver)
{
    _cleanup_json_ json_t *nodes = cluster_list("/apis/storage.k8s.io/v1/csinodes");
    size_t i;
    json_t *one;
    json_array_foreach (nodes, i, one) {
        json_t *keys = json_object_get(csi_node_driver(one, driver), "topologyKeys");
        if (json_array_size(keys) > 0) {
            return json_incref(keys);
        }
    }
    return NULL;
}

/* The terms of all nodes that have KEYS as labels. A new reference. */
static json_t *cluster_terms(const json_t *keys)
{
    _cleanup_json_ json_t *nodes = cluster_list("/api/v1/nodes");
    json_t *terms = json_array();
    size_t i;
    json_t *node;
    json_array_foreach (nodes, i, node) {
        json_t *term = node_term(node, keys);
        if (term != NULL) {
            json_array_append_new(terms, term);
        }
    }
    return terms;
}

/* TERMS with each of VALUES under KEY: their product. Steals TERMS. */
static json_t *distribute(json_t *terms, const char *key, const json_t *values)
{
    json_t *product = json_array();
    size_t i;
    size_t k;
    json_t *value;
    json_t *term;
    json_array_foreach ((json_t *)values, i, value) {
        if (json_array_size(terms) == 0) {
            json_array_append_new(product, json_pack("{sO}", key, value));
        }
        json_array_foreach (terms, k, term) {
            json_t *longer = json_copy(term);
            json_object_set(longer, key, value);
            json_array_append_new(product, longer);
        }
    }
    json_decref(terms);
    return product;
}

/* allowedTopologies is an OR of ANDs of ORs; these are an OR of ANDs. A new reference. */
static json_t *allowed_terms(const json_t *allowed)
{
    json_t *all = json_array();
    size_t i;
    size_t k;
    json_t *selector;
    json_t *expression;
    json_array_foreach ((json_t *)allowed, i, selector) {
        json_t *terms = json_array();
        json_array_foreach (json_object_get(selector, "matchLabelExpressions"), k, expression) {
            terms = distribute(terms, text_at(expression, "key"), json_object_get(expression, "values"));
        }
        json_array_extend(all, terms);
        json_decref(terms);
    }
    return all;
}

static int by_term(const void *a, const void *b)
{
    _cleanup_free_ char *left = term_text(*(json_t *const *)a);
    _cleanup_free_ char *right = term_text(*(json_t *const *)b);
    return strcmp(left, right);
}

/* TERMS without what is in it twice, sorted. Steals TERMS. */
static json_t *sorted(json_t *terms)
{
    size_t n = json_array_size(terms);
    json_t **list = xcalloc(n + 1, sizeof(json_t *));
    for (size_t i = 0; i < n; i++) {
        list[i] = json_array_get(terms, i);
    }
    qsort(list, n, sizeof(json_t *), by_term);
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !json_equal(list[i], list[i - 1])) {
            json_array_append(out, list[i]);
        }
    }
    free(list);
    json_decref(terms);
    return out;
}

/* Where a StatefulSet's volumes are spread: FNV-1 of its name, and the number at the end of the claim's. */
static size_t spread(const char *claim, size_t n)
{
    const char *dash = strrchr(claim, '-');
    char *end = NULL;
    unsigned long index = dash == NULL ? 0 : strtoul(dash + 1, &end, 10);
    _cleanup_free_ char *name = xstrdup(claim);
    const char *hashed = name;
    if (end != NULL && *end == '\0' && dash[1] != '\0') {
        name[dash - claim] = '\0';
        char *before = strrchr(name, '-');
        hashed = before == NULL ? name : before + 1;
    } else {
        index = 0;
    }
    uint32_t hash = 2166136261U;
    for (const char *c = hashed; *c != '\0'; c++) {
        hash = (hash * 16777619U) ^ (unsigned char)*c;
    }
    return (uint32_t)(hash + (uint32_t)index) % (uint32_t)n;
}

static void put_shifted(struct buffer *out, unsigned field, const json_t *terms, size_t first)
{
    size_t n = json_array_size(terms);
    for (size_t i = 0; i < n; i++) {
        _cleanup_buffer_ struct buffer topology = {0};
        pb_map(&topology, 1, json_array_get(terms, (first + i) % n));
        pb_message(out, field, &topology);
    }
}

/* The first of TERMS that the chosen node's has whole; their number when there is none. */
static size_t index_of(const json_t *terms, const json_t *chosen)
{
    size_t i = 0;
    while (i < json_array_size(terms) && !is_subset(json_array_get(terms, i), chosen)) {
        i++;
    }
    return i;
}

/* All that the volume may be in, in *TERMS: NULL for anywhere. False and *WHY when it cannot be told. */
static bool requisite(const struct topology_wish *wish, const json_t *keys, const json_t *chosen, json_t **terms,
                      char **why)
{
    _cleanup_json_ json_t *allowed = allowed_terms(wish->allowed);
    if (chosen != NULL && wish->strict) {
        if (json_array_size(allowed) > 0 && index_of(allowed, chosen) == json_array_size(allowed)) {
            *why = xasprintf("selected node '%s' topology is not in allowed topologies", wish->node);
            return false;
        }
        *terms = json_pack("[O]", chosen);
        return true;
    }
    if (json_array_size(wish->allowed) > 0) {
        *terms = json_array_size(allowed) > 0 ? json_incref(allowed) : NULL;
        return true;
    }
    if (chosen == NULL && !wish->immediate) {
        return true;
    }
    _cleanup_json_ json_t *first = keys == NULL ? first_keys(wish->driver) : NULL;
    *terms = keys == NULL && first == NULL ? NULL : cluster_terms(keys != NULL ? keys : first);
    if (json_array_size(*terms) == 0) {
        *why = xstrdup("no available topology found");
    }
    return json_array_size(*terms) > 0;
}

bool topology_put(struct buffer *request, unsigned field, const struct topology_wish *wish, char **why)
{
    _cleanup_json_ json_t *keys = NULL;
    _cleanup_json_ json_t *chosen = NULL;
    _cleanup_json_ json_t *terms = NULL;
    _cleanup_buffer_ struct buffer requirement = {0};
    if ((wish->node[0] != '\0' && !selected(wish, &keys, &chosen, why)) ||
        !requisite(wish, keys, chosen, &terms, why)) {
        return false;
    }
    if (terms == NULL) {
        return true;
    }
    terms = sorted(terms);
    size_t n = json_array_size(terms);
    size_t first = chosen == NULL ? spread(wish->claim, n) : index_of(terms, chosen);
    if (first == n) {
        *why = xasprintf("topology from selected node \"%s\" is not in requisite", wish->node);
        return false;
    }
    put_shifted(&requirement, 1, terms, 0);
    put_shifted(&requirement, 2, terms, first);
    pb_message(request, field, &requirement);
    return true;
}

json_t *topology_affinity(const struct buffer *volume)
{
    json_t *terms = json_array();
    struct pb_field field;
    const char *data = volume->data;
    size_t length = volume->len;
    while (pb_next(&data, &length, &field)) {
        const struct buffer topology = {.data = (char *)field.data, .len = field.length};
        _cleanup_json_ json_t *segments = field.number == 5 ? pb_find_map(&topology, 1) : NULL;
        json_t *expressions = json_array();
        const char *key;
        json_t *value;
        json_object_foreach (segments, key, value) {
            json_array_append_new(expressions,
                                  json_pack("{ss ss s[O]}", "key", key, "operator", "In", "values", value));
        }
        if (json_array_size(expressions) > 0) {
            json_array_append_new(terms, json_pack("{sO}", "matchExpressions", expressions));
        }
        json_decref(expressions);
    }
    if (json_array_size(terms) == 0) {
        json_decref(terms);
        return NULL;
    }
    return json_pack("{s{so}}", "required", "nodeSelectorTerms", terms);
}
