#include "hooks/addons/addons_inventory.h"

#include <errno.h>
#include <glob.h>
#include <string.h>

#include "hooks/addons/addons_state.h"
#include "hooks/addons/live_objects.h"
#include "hooks/engine/run.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

#define FILE_NAME "addons/objects.json"

/* The object that KEY means among those of one add-on, whatever version it was applied in; NULL when absent. */
static const char *owned_of(const json_t *objects, const char *key)
{
    const char *other = NULL;
    json_t *owned = NULL;
    json_object_foreach ((json_t *)objects, other, owned) {
        if (object_key_same(other, key)) {
            return json_string_value(owned);
        }
    }
    return NULL;
}

bool addons_inventory_has(const json_t *inventory, const char *key)
{
    const char *addon = NULL;
    json_t *objects = NULL;
    json_object_foreach ((json_t *)inventory, addon, objects) {
        if (owned_of(objects, key) != NULL) {
            return true;
        }
    }
    return false;
}

const char *addons_inventory_owned(const json_t *inventory, const char *addon, const char *key)
{
    const char *owned = owned_of(json_object_get(inventory, addon), key);
    return owned != NULL ? owned : "";
}

json_t *addons_inventory_objects(const json_t *inventory, const char *addon)
{
    json_t *keys = json_array();
    const char *key = NULL;
    json_t *owned = NULL;
    json_object_foreach (json_object_get(inventory, addon), key, owned) {
        json_array_append_new(keys, json_string(key));
    }
    return keys;
}

void addons_inventory_add(json_t *inventory, const char *addon, const json_t *keys)
{
    json_t *objects = json_object_get(inventory, addon);
    if (objects == NULL) {
        objects = json_object();
        json_object_set_new(inventory, addon, objects);
    }
    size_t i = 0;
    json_t *key = NULL;
    json_array_foreach (keys, i, key) {
        if (owned_of(objects, json_string_value(key)) == NULL) {
            json_object_set_new(objects, json_string_value(key), json_string(""));
        }
    }
}

void addons_inventory_set(json_t *inventory, const char *addon, const json_t *keys, const json_t *live)
{
    json_t *objects = json_object();
    size_t i = 0;
    json_t *key = NULL;
    json_array_foreach (keys, i, key) {
        const char *owned = json_text(live_object(live, json_string_value(key)), "owned");
        json_object_set_new(objects, json_string_value(key), json_string(owned != NULL ? owned : ""));
    }
    json_object_set_new(inventory, addon, objects);
}

static char *addon_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    return xstrndup(name, strlen(name) - strlen(".yaml"));
}

static void add_kept_manifest(json_t *inventory, const char *path)
{
    _cleanup_secret_ char *text = NULL;
    _cleanup_manifest_ struct manifest manifest = {0};
    _cleanup_error_ struct error *why = NULL;
    _cleanup_free_ char *name = addon_name(path);
    if (file_read(path, 0, &text, NULL, &why) < 0 || manifest_add(&manifest, path, text, &why) < 0) {
        log_warning("add-on %s: what was applied cannot be read, so nothing of it is deleted: %s", name, why->message);
        return;
    }
    _cleanup_json_ json_t *keys = inventory_of(&manifest);
    addons_inventory_add(inventory, name, keys);
}

static json_t *of_kept_manifests(const struct run *run)
{
    _cleanup_free_ char *pattern = run_state_path(run, "addons/*.yaml");
    json_t *inventory = json_object();
    glob_t found = {0};
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            add_kept_manifest(inventory, found.gl_pathv[i]);
        }
    }
    globfree(&found);
    return inventory;
}

static bool well_formed(const json_t *inventory)
{
    const char *addon = NULL;
    json_t *objects = NULL;
    bool good = json_is_object(inventory);
    json_object_foreach ((json_t *)inventory, addon, objects) {
        const char *key = NULL;
        json_t *owned = NULL;
        good = good && json_is_object(objects);
        json_object_foreach (objects, key, owned) {
            good = good && json_is_string(owned);
        }
    }
    return good;
}

int addons_inventory_read(const struct run *run, json_t **inventory, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, FILE_NAME);
    _cleanup_free_ char *text = NULL;
    _cleanup_error_ struct error *why = NULL;
    size_t len = 0;
    if (file_read(path, 0, &text, &len, &why) < 0) {
        if (errno != ENOENT) {
            return error_move(err, &why);
        }
        *inventory = of_kept_manifests(run);
        return 0;
    }
    _cleanup_json_ json_t *kept = json_loadb(text, len, 0, NULL);
    if (!well_formed(kept)) {
        log_warning("%s cannot be read: the objects of the kept manifests are taken", path);
        *inventory = of_kept_manifests(run);
        return 0;
    }
    *inventory = STEAL(kept);
    return 0;
}

int addons_inventory_write(const struct run *run, const json_t *inventory, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, FILE_NAME);
    _cleanup_free_ char *text = json_dumps(inventory, JSON_INDENT(1) | JSON_SORT_KEYS);
    return file_put_private(path, text, err);
}
