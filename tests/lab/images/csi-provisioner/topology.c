#include "tests/lab/images/csi-provisioner/provisioner.h"

#include <string.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/protobuf.h"

/* The labels of a node for the keys that the driver on it named; NULL and *WHY when it has no driver or no label yet. A
 * new reference. */
static json_t *segments_of(const json_t *csi_node, const char *driver, char **why)
{
    const char *name = text_at(csi_node, "metadata name");
    const json_t *keys = json_object_get(csi_node_driver(csi_node, driver), "topologyKeys");
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", name);
    json_t *segments = json_object();
    size_t i;
    json_t *key;
    if (json_array_size(keys) == 0) {
        *why = xasprintf("no topology key found on CSINode %s", name);
        json_decref(segments);
        return NULL;
    }
    _cleanup_json_ json_t *node = cluster_get(path);
    json_array_foreach ((json_t *)keys, i, key) {
        json_t *label = json_object_get(json_at(node, "metadata labels"), json_string_value(key));
        if (label == NULL) {
            *why = xasprintf("topology labels from selected node %s do not have key %s", name, json_string_value(key));
            json_decref(segments);
            return NULL;
        }
        json_object_set(segments, json_string_value(key), label);
    }
    return segments;
}

static void put(struct buffer *out, unsigned field, const json_t *segments)
{
    _cleanup_buffer_ struct buffer topology = {0};
    pb_map(&topology, 1, segments);
    pb_message(out, field, &topology);
}

bool topology_put(struct buffer *request, unsigned field, const char *driver, const char *node, char **why)
{
    _cleanup_json_ json_t *nodes = cluster_list("/apis/storage.k8s.io/v1/csinodes");
    _cleanup_json_ json_t *preferred = NULL;
    _cleanup_json_ json_t *all = json_array();
    _cleanup_buffer_ struct buffer requirement = {0};
    size_t i;
    size_t k;
    json_t *one;
    json_t *known;
    json_array_foreach (nodes, i, one) {
        bool chosen = strcmp(text_at(one, "metadata name"), node) == 0;
        _cleanup_free_ char *missing = NULL;
        json_t *segments = segments_of(one, driver, &missing);
        if (segments == NULL && chosen) {
            *why = STEAL(missing);
            return false;
        }
        if (segments != NULL && chosen) {
            preferred = json_incref(segments);
        }
        bool seen = segments == NULL;
        json_array_foreach (all, k, known) {
            seen = seen || json_equal(known, segments);
        }
        if (!seen) {
            json_array_append(all, segments);
        }
        json_decref(segments);
    }
    if (json_array_size(all) == 0 || (node[0] != '\0' && preferred == NULL)) {
        *why = xstrdup(node[0] == '\0' ? "no available topology found" : "the selected node has no CSINode");
        return false;
    }
    json_array_foreach (all, i, one) {
        put(&requirement, 1, one);
    }
    put(&requirement, 2, preferred != NULL ? preferred : json_array_get(all, 0));
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
