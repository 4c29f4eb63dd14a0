#include "hooks/addons/live_objects.h"

#include <string.h>

#include "hooks/addons/addons_render.h"
#include "hooks/addons/addons_state.h"
#include "lib/core/json.h"
#include "lib/crypto/crypto.h"

/* What the API serves, as far as it was queried: {"apps/v1": {kind: {"name": plural, "namespaced": boolean}}}. */
struct reader {
    const struct run *run;
    json_t *served;
};

/* The API's path of a group's version: "v1" is the core group's. */
static char *version_path(const char *version)
{
    return xasprintf("/%s/%s", strchr(version, '/') == NULL ? "api" : "apis", version);
}

static json_t *kinds_of(const json_t *list)
{
    json_t *kinds = json_object();
    size_t i = 0;
    json_t *resource = NULL;
    json_array_foreach (json_object_get(list, "resources"), i, resource) {
        const char *kind = json_text(resource, "kind");
        const char *name = json_text(resource, "name");
        /* "deployments/scale" and its like are not objects of their own. */
        if (kind != NULL && name != NULL && strchr(name, '/') == NULL) {
            json_object_set(kinds, kind, resource);
        }
    }
    return kinds;
}

/* *kinds is borrowed from READER; empty when the version is not served. */
static int served_kinds(struct reader *reader, const char *version, const json_t **kinds, struct error **err)
{
    *kinds = json_object_get(reader->served, version);
    if (*kinds != NULL) {
        return 0;
    }
    _cleanup_free_ char *path = version_path(version);
    _cleanup_json_ json_t *list = NULL;
    _cleanup_error_ struct error *why = NULL;
    long code = 0;
    if (kube_get(reader->run->kube, path, reader->run->deadline, &list, &code, &why) < 0 && code != 404) {
        return error_move(err, &why);
    }
    json_object_set_new(reader->served, version, kinds_of(list));
    *kinds = json_object_get(reader->served, version);
    return 0;
}

/* A record that was edited must not lead to another path of the API. */
static bool is_name(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:") == strlen(text) &&
           strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

static bool is_version(const char *text)
{
    const char *slash = strchr(text, '/');
    _cleanup_free_ char *group = slash != NULL ? xstrndup(text, (size_t)(slash - text)) : xstrdup(text);
    return is_name(group) && (slash == NULL || is_name(slash + 1));
}

/* The API's path of an object; NULL when KEY is not a key or its kind is not served. A manifest may leave a namespace
 * out, which means "default", or give one to what has none. */
static int object_path(struct reader *reader, const char *key, char **path, struct error **err)
{
    _cleanup_strv_ char **part = strv_split(key);
    const json_t *kinds = NULL;
    *path = NULL;
    if (strv_length(part) != 4 || !is_version(part[0]) || !is_name(part[2]) || !is_name(part[3])) {
        return 0;
    }
    if (served_kinds(reader, part[0], &kinds, err) < 0) {
        return -1;
    }
    const json_t *resource = json_object_get(kinds, part[1]);
    if (resource == NULL) {
        return 0;
    }
    _cleanup_free_ char *version = version_path(part[0]);
    const char *plural = json_text(resource, "name");
    if (json_is_true(json_object_get(resource, "namespaced"))) {
        const char *space = strcmp(part[2], "-") == 0 ? "default" : part[2];
        *path = xasprintf("%s/namespaces/%s/%s/%s", version, space, plural, part[3]);
    } else {
        *path = xasprintf("%s/%s/%s", version, plural, part[3]);
    }
    return 0;
}

/* Of each entry of managedFields that is k8s-hooks', what it did and the fields it has by it; not the time, which
 * moves without a change. */
static char *owned_fields(const json_t *metadata, bool *any)
{
    _cleanup_json_ json_t *owned = json_array();
    size_t i = 0;
    json_t *entry = NULL;
    json_array_foreach (json_object_get(metadata, "managedFields"), i, entry) {
        const char *manager = json_text(entry, "manager");
        if (manager != NULL && strcmp(manager, ADDONS_MANAGER_NAME) == 0) {
            json_array_append_new(
                owned, json_pack("[O?, O?]", json_object_get(entry, "operation"), json_object_get(entry, "fieldsV1")));
        }
    }
    *any = json_array_size(owned) > 0;
    /* `kubectl scale` leaves no trace in managedFields before Kubernetes 1.22; the generation counts every change of a
     * workload's spec. */
    json_array_append(owned, json_object_get(metadata, "generation"));
    _cleanup_free_ char *text = json_dumps(owned, JSON_COMPACT | JSON_SORT_KEYS);
    return sha256_hex(text, strlen(text));
}

static json_t *summary(const json_t *object)
{
    const json_t *metadata = json_object_get(object, "metadata");
    const json_t *annotations = json_object_get(metadata, "annotations");
    const char *wish = json_text(annotations, RECONCILE_ANNOTATION);
    bool kept = strcmp(json_text_or(annotations, KEEP_ANNOTATION, ""), "keep") == 0;
    bool managed = false;
    _cleanup_free_ char *owned = owned_fields(metadata, &managed);
    bool ours = managed || json_object_get(annotations, ADDON_ANNOTATION) != NULL;
    return json_pack("{s:b, s:b, s:b, s:b, s:s}", "ours", ours, "exempt", wish != NULL && strcmp(wish, "disabled") == 0,
                     "kept", kept, "deleting", json_object_get(metadata, "deletionTimestamp") != NULL, "owned", owned);
}

static int read_one(struct reader *reader, const char *key, json_t *live, struct error **err)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_json_ json_t *object = NULL;
    if (object_path(reader, key, &path, err) < 0 ||
        (path != NULL && kube_get_metadata(reader->run->kube, path, reader->run->deadline, &object, err) < 0)) {
        return -1;
    }
    if (object != NULL) {
        json_object_set_new(live, key, summary(object));
    }
    return 0;
}

int live_objects_read(const struct run *run, const json_t *keys, json_t **live, struct error **err)
{
    _cleanup_json_ json_t *served = json_object();
    _cleanup_json_ json_t *found = json_object();
    struct reader reader = {run, served};
    size_t i = 0;
    json_t *key = NULL;
    json_array_foreach (keys, i, key) {
        if (json_is_string(key) && read_one(&reader, json_string_value(key), found, err) < 0) {
            return -1;
        }
    }
    *live = STEAL(found);
    return 0;
}

const json_t *live_object(const json_t *live, const char *key)
{
    const json_t *object = json_object_get(live, key);
    const char *other = NULL;
    json_t *value = NULL;
    json_object_foreach ((json_t *)live, other, value) {
        if (object == NULL && object_key_same(other, key)) {
            object = value;
        }
    }
    return object;
}

bool live_object_is(const json_t *object, const char *what)
{
    return json_is_true(json_object_get(object, what));
}
