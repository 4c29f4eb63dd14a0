#include "hooks/addons/cluster_objects.h"

#include <inttypes.h>
#include <string.h>

#include "hooks/addons/addons_state.h"
#include "hooks/addons/live_objects.h"
#include "hooks/clients/kubectl.h"
#include "lib/core/logger.h"

static int apply_text(const struct run *run, const struct manifest *manifest, size_t from, size_t to,
                      const char *const *apply, struct error **err)
{
    if (from == to) {
        return 0;
    }
    _cleanup_secret_ char *text = manifest_text(manifest, from, to);
    return kubectl(run, apply, text, NULL, err);
}

/* Before 1.20.6 the API server panics over an APIService under server-side apply (kubernetes/kubernetes#100714).
 * manifest_sort puts those last. */
static int apply_documents(const struct run *run, const struct manifest *manifest, size_t from, size_t to,
                           struct error **err)
{
    static const char *const on_server[] = {"apply",        "--server-side", "--force-conflicts",
                                            ADDONS_MANAGER, "--filename=-",  NULL};
    static const char *const on_client[] = {"apply", ADDONS_MANAGER, "--filename=-", NULL};
    size_t services = from;
    while (services < to && strcmp(manifest->documents[services].object.kind, "APIService") != 0) {
        services++;
    }
    return apply_text(run, manifest, from, services, on_server, err) < 0
               ? -1
               : apply_text(run, manifest, services, to, on_client, err);
}

static int wait_established(const struct run *run, const struct manifest *manifest, size_t n, struct error **err)
{
    _cleanup_free_ char *timeout = xasprintf("--timeout=%" PRId64 "s", deadline_left(run->deadline) / 1000 + 1);
    _cleanup_strv_ char **arguments = xcalloc(1, sizeof *arguments);
    strv_push(&arguments, "wait");
    strv_push(&arguments, "--for=condition=Established");
    strv_push(&arguments, timeout);
    size_t options = strv_length(arguments);
    for (size_t i = 0; i < n; i++) {
        const struct object *object = &manifest->documents[i].object;
        if (strcmp(object->kind, "CustomResourceDefinition") == 0) {
            _cleanup_free_ char *argument = xasprintf("customresourcedefinition/%s", object->name);
            strv_push(&arguments, argument);
        }
    }
    return strv_length(arguments) == options ? 0 : kubectl(run, (const char *const *)arguments, NULL, NULL, err);
}

/* What kubectl takes on stdin for the objects that KEYS name, the last first; NULL when there are none. */
static char *identities(const json_t *keys)
{
    _cleanup_json_ json_t *items = json_array();
    for (size_t i = json_array_size(keys); i-- > 0;) {
        const char *key = json_string_value(json_array_get(keys, i));
        json_t *identity = key != NULL ? object_identity(key) : NULL;
        if (identity != NULL) {
            json_array_append_new(items, identity);
        }
    }
    if (json_array_size(items) == 0) {
        return NULL;
    }
    _cleanup_json_ json_t *list = json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", items);
    return json_dumps(list, JSON_COMPACT);
}

static int delete_keys(const struct run *run, const json_t *keys, struct error **err)
{
    _cleanup_free_ char *timeout = xasprintf("--timeout=%" PRId64 "s", deadline_left(run->deadline) / 1000 + 1);
    const char *const delete[] = {"delete", "--ignore-not-found", "--wait=true", timeout, "--filename=-", NULL};
    _cleanup_free_ char *list = identities(keys);
    return list == NULL ? 0 : kubectl(run, delete, list, NULL, err);
}

/* kubectl refuses a whole list for one kind that is not served. */
static int delete_one_by_one(const struct run *run, const json_t *keys, struct error **err)
{
    for (size_t i = json_array_size(keys); i-- > 0;) {
        _cleanup_json_ json_t *one = json_pack("[O]", json_array_get(keys, i));
        _cleanup_error_ struct error *why = NULL;
        if (delete_keys(run, one, &why) < 0 && !kubectl_kind_unknown(why)) {
            return error_move(err, &why);
        }
    }
    return 0;
}

int objects_delete(const struct run *run, const json_t *keys, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    if (delete_keys(run, keys, &why) == 0) {
        return 0;
    }
    if (kubectl_kind_unknown(why)) {
        return delete_one_by_one(run, keys, err);
    }
    return error_move(err, &why);
}

/* Such as a Deployment's selector: what the API server answers when it will not change an object. */
static bool unchangeable(const struct error *err)
{
    return err != NULL && err->status == STATUS_COMMAND &&
           (strstr(err->message, "field is immutable") != NULL ||
            strstr(err->message, "updates to parameters are forbidden") != NULL ||
            strstr(err->message, "updates to statefulset spec for fields other than") != NULL);
}

static int replace(const struct run *run, const struct manifest *manifest, size_t i, const json_t *live,
                   struct error **why, struct error **err)
{
    _cleanup_free_ char *key = object_key(&manifest->documents[i].object);
    _cleanup_json_ json_t *keys = json_pack("[s]", key);
    const json_t *object = live_object(live, key);
    if (object != NULL && !live_object_is(object, "ours")) {
        error_move(err, why);
        return error_wrap(err, "%s exists already and was not created by k8s-hooks: delete or rename it", key);
    }
    log_notice("%s cannot be changed in place: it is deleted and recreated", key);
    return objects_delete(run, keys, err) < 0 ? -1 : apply_documents(run, manifest, i, i + 1, err);
}

/* kubectl's output does not name reliably which of many objects it was. */
static int replace_unchangeable(const struct run *run, const struct manifest *manifest, size_t from, const json_t *live,
                                struct error **err)
{
    for (size_t i = from; i < manifest->n; i++) {
        _cleanup_error_ struct error *why = NULL;
        if (apply_documents(run, manifest, i, i + 1, &why) == 0) {
            continue;
        }
        if (!unchangeable(why)) {
            return error_move(err, &why);
        }
        if (replace(run, manifest, i, live, &why, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int manifest_apply(const struct run *run, const struct manifest *manifest, const json_t *live, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    size_t definitions = manifest_definitions(manifest);
    if (apply_documents(run, manifest, 0, definitions, err) < 0 ||
        wait_established(run, manifest, definitions, err) < 0) {
        return -1;
    }
    if (apply_documents(run, manifest, definitions, manifest->n, &why) == 0) {
        return 0;
    }
    if (unchangeable(why)) {
        return replace_unchangeable(run, manifest, definitions, live, err);
    }
    return error_move(err, &why);
}
