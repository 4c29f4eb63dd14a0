#include <string.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"

/* What a tag says: PREFIX POD _ NAMESPACE _ CONTAINER - 64 digits .log */
static bool parse_tag(const char *prefix, const char *tag, char **pod, char **namespace, char **container, char **id)
{
    const char *name = strncmp(tag, prefix, strlen(prefix)) == 0 ? tag + strlen(prefix) : NULL;
    const char *first = name == NULL ? NULL : strchr(name, '_');
    const char *second = first == NULL ? NULL : strchr(first + 1, '_');
    const char *dash = second == NULL ? NULL : strrchr(second, '-');
    if (dash == NULL || strlen(dash) != 64 + 5) {
        return false;
    }
    *pod = xstrndup(name, (size_t)(first - name));
    *namespace = xstrndup(first + 1, (size_t)(second - first) - 1);
    *container = xstrndup(second + 1, (size_t)(dash - second) - 1);
    *id = xstrndup(dash + 1, 64);
    return true;
}

/* From the API, once a pod. An answer that does not fit the buffer is no answer, as there. */
static json_t *pod_of(const struct section *section, const char *namespace, const char *pod)
{
    static json_t *cache;
    _cleanup_free_ char *key = xasprintf("%s/%s", namespace, pod);
    cache = cache == NULL ? json_object() : cache;
    json_t *known = json_object_get(cache, key);
    if (known != NULL) {
        return known;
    }
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/pods/%s", namespace, pod);
    json_t *object = cluster_get(path);
    _cleanup_free_ char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    if (text != NULL && strlen(text) > conf_size(section, "buffer_size", 32000)) {
        say("[filter:kubernetes] pod %s: the answer of %zu bytes does not fit the buffer", key, strlen(text));
        json_decref(object);
        object = json_object();
    }
    if (object != NULL) {
        json_object_set_new(cache, key, object);
    }
    return object;
}

static json_t *describe(const struct section *section, const json_t *pod, const char *namespace, const char *name,
                        const char *container, const char *id)
{
    json_t *about = json_pack("{ss ss}", "pod_name", name, "namespace_name", namespace);
    size_t i;
    json_t *entry;
    if (json_object_get(pod, "metadata") != NULL) {
        json_object_set_new(about, "pod_id", json_string(text_at(pod, "metadata uid")));
        json_object_set_new(about, "host", json_string(text_at(pod, "spec nodeName")));
        if (conf_on(section, "labels", true) && json_at(pod, "metadata labels") != NULL) {
            json_object_set(about, "labels", json_at(pod, "metadata labels"));
        }
        if (conf_on(section, "annotations", true) && json_at(pod, "metadata annotations") != NULL) {
            json_object_set(about, "annotations", json_at(pod, "metadata annotations"));
        }
        json_array_foreach (json_at(pod, "status containerStatuses"), i, entry) {
            if (strcmp(text_at(entry, "name"), container) == 0) {
                json_object_set(about, "container_image", json_object_get(entry, "image"));
                json_object_set(about, "container_hash", json_object_get(entry, "imageID"));
            }
        }
    }
    json_object_set_new(about, "container_name", json_string(container));
    json_object_set_new(about, "docker_id", json_string(id));
    return about;
}

static void trim(json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        const char *text = json_string_value(value);
        size_t len = text == NULL ? 0 : strlen(text);
        if (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
            (void)json_string_setn(value, text, len - 1);
        }
    }
}

/* A line that is a JSON object: its fields at the top, or below a key. */
static void merge_log(const struct section *section, json_t *record)
{
    const char *text = text_at(record, "log");
    const char *below = conf_text(section, "merge_log_key", NULL);
    text += strspn(text, " \t\r\n");
    json_t *fields = text[0] == '{' ? json_loads(text, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    if (!json_is_object(fields)) {
        json_decref(fields);
        return;
    }
    if (conf_on(section, "merge_log_trim", true)) {
        trim(fields);
    }
    if (!conf_on(section, "keep_log", true)) {
        json_object_del(record, "log");
    }
    if (below != NULL) {
        json_object_set(record, below, fields);
    } else {
        json_object_update(record, fields);
    }
    json_decref(fields);
}

json_t *filter_kubernetes(const struct section *section, const char *tag, json_t *record)
{
    _cleanup_free_ char *pod = NULL;
    _cleanup_free_ char *namespace = NULL;
    _cleanup_free_ char *container = NULL;
    _cleanup_free_ char *id = NULL;
    if (!parse_tag(conf_text(section, "kube_tag_prefix", "kube.var.log.containers."), tag, &pod, &namespace, &container,
                   &id)) {
        return record;
    }
    const json_t *object = pod_of(section, namespace, pod);
    const json_t *notes = json_at(object, "metadata annotations");
    if (conf_on(section, "k8s-logging.exclude", false) && strcmp(text_at(notes, "fluentbit.io/exclude"), "true") == 0) {
        json_decref(record);
        return NULL;
    }
    if (conf_on(section, "merge_log", false)) {
        merge_log(section, record);
    }
    json_object_set_new(record, "kubernetes", describe(section, object, namespace, pod, container, id));
    return record;
}
