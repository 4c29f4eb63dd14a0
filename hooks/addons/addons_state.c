#include "hooks/addons/addons_state.h"

#include <string.h>

#include "hooks/clients/kubectl.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

int addons_state_read(const struct run *run, json_t **state, struct error **err)
{
    _cleanup_json_ json_t *map = NULL;
    _cleanup_error_ struct error *why = NULL;
    long code = 0;
    if (kube_get(run->kube, "/api/v1/namespaces/kube-system/configmaps/" ADDONS_STATE, run->deadline, &map, &code,
                 &why) < 0 &&
        code != 404) {
        return error_move(err, &why);
    }
    *state = json_object();
    const char *name = NULL;
    json_t *text = NULL;
    json_object_foreach (json_object_get(map, "data"), name, text) {
        json_t *entry = json_loads(json_string_value(text), 0, NULL);
        if (!json_is_string(json_object_get(entry, "hash")) || !json_is_array(json_object_get(entry, "objects"))) {
            log_warning("ConfigMap kube-system/%s: the entry of %s cannot be read; the add-on is applied again",
                        ADDONS_STATE, name);
            json_decref(entry);
            entry = json_pack("{s:s, s:[]}", "hash", "", "objects");
        }
        json_object_set_new(*state, name, entry);
    }
    return 0;
}

int addons_state_write(const struct run *run, const json_t *state, struct error **err)
{
    static const char *const apply[] = {"apply",        "--server-side", "--force-conflicts",
                                        ADDONS_MANAGER, "--filename=-",  NULL};
    _cleanup_json_ json_t *map = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{}}", "apiVersion", "v1", "kind", "ConfigMap",
                                           "metadata", "name", ADDONS_STATE, "namespace", "kube-system", "data");
    const char *name = NULL;
    json_t *entry = NULL;
    json_object_foreach ((json_t *)state, name, entry) {
        _cleanup_free_ char *text = json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS);
        json_object_set_new(json_object_get(map, "data"), name, json_string(text));
    }
    _cleanup_free_ char *text = json_dumps(map, JSON_COMPACT);
    return kubectl(run, apply, text, NULL, err);
}

const char *addons_state_hash(const json_t *state, const char *name)
{
    const char *hash = json_text(json_object_get(state, name), "hash");
    return hash != NULL ? hash : "";
}

json_t *addons_state_objects(const json_t *state, const char *name)
{
    json_t *objects = json_object_get(json_object_get(state, name), "objects");
    return objects != NULL ? json_incref(objects) : json_array();
}

void addons_state_set(json_t *state, const char *name, const char *hash, json_t *objects)
{
    json_object_set_new(state, name, json_pack("{s:s, s:o}", "hash", hash, "objects", objects));
}

json_t *inventory_of(const struct manifest *manifest)
{
    json_t *inventory = json_array();
    for (size_t i = 0; i < manifest->n; i++) {
        _cleanup_free_ char *key = object_key(&manifest->documents[i].object);
        json_array_append_new(inventory, json_string(key));
    }
    return inventory;
}

bool inventory_has(const json_t *inventory, const char *key)
{
    size_t i = 0;
    json_t *other = NULL;
    json_array_foreach (inventory, i, other) {
        if (json_is_string(other) && object_key_same(json_string_value(other), key)) {
            return true;
        }
    }
    return false;
}

json_t *inventory_union(const json_t *a, const json_t *b)
{
    json_t *both = json_copy((json_t *)a);
    size_t i = 0;
    json_t *key = NULL;
    json_array_foreach (b, i, key) {
        if (json_is_string(key) && !inventory_has(a, json_string_value(key))) {
            json_array_append(both, key);
        }
    }
    return both;
}
