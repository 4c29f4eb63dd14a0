#include "bake/state.h"

#include <errno.h>
#include <string.h>

#include "bake/root/place.h"
#include "lib/core/json.h"

int state_load(const struct root *root, json_t **state, struct error **err)
{
    size_t len = 0;
    json_error_t why;
    _cleanup_free_ char *text = root_read(root, STATE_PATH, &len);
    if (text == NULL && errno != ENOENT) {
        return error_errno(err, STATUS_FILE, errno, "%s: cannot read %s", root->path, STATE_PATH);
    }
    *state = text == NULL ? json_object() : json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(*state)) {
        json_decref(*state);
        *state = NULL;
        return error_new(err, STATUS_FILE, "%s: %s is not a bake's record (%s): remove it to bake from scratch",
                         root->path, STATE_PATH, why.text);
    }
    return 0;
}

const char *state_key(const json_t *state, const char *item)
{
    return json_text_at(state, item, "key", NULL);
}

bool state_has(const json_t *state, const struct root *root, const char *item, const char *key)
{
    const char *recorded = state_key(state, item);
    if (recorded == NULL || strcmp(recorded, key) != 0) {
        return false;
    }
    size_t i = 0;
    json_t *path = NULL;
    json_array_foreach (json_object_get(json_object_get(state, item), "paths"), i, path) {
        if (!root_exists(root, json_string_value(path), NULL)) {
            return false;
        }
    }
    return true;
}

static int save(const json_t *state, const struct root *root, struct error **err)
{
    _cleanup_free_ char *text = json_dumps(state, JSON_INDENT(1) | JSON_SORT_KEYS);
    _cleanup_place_ struct place place = {.root = root};
    return place_data(&place, STATE_PATH, 0644, text, strlen(text), err) < 0 ? -1 : place_commit(&place, err);
}

int state_set(json_t *state, const struct root *root, const char *item, const char *key, char *const *paths,
              struct error **err)
{
    json_t *list = json_array();
    for (; paths != NULL && *paths != NULL; paths++) {
        json_array_append_new(list, json_string(*paths));
    }
    json_object_set_new(state, item, json_pack("{s:s, s:o}", "key", key, "paths", list));
    return save(state, root, err);
}

int state_drop(json_t *state, const struct root *root, const char *item, struct error **err)
{
    return json_object_del(state, item) < 0 ? 0 : save(state, root, err);
}

static bool has_path(const json_t *entry, const char *path)
{
    size_t i = 0;
    json_t *own = NULL;
    json_array_foreach (json_object_get(entry, "paths"), i, own) {
        if (strcmp(json_string_value(own), path) == 0) {
            return true;
        }
    }
    return false;
}

static bool others_have(const json_t *state, const char *item, const char *path)
{
    const char *other = NULL;
    json_t *entry = NULL;
    json_object_foreach ((json_t *)state, other, entry) {
        if (strcmp(other, item) != 0 && has_path(entry, path)) {
            return true;
        }
    }
    return false;
}

bool state_has_path(const json_t *state, const char *item, const char *path)
{
    return has_path(json_object_get(state, item), path);
}

char **state_own_paths(const json_t *state, const char *item, char *const *keep)
{
    char **own = xcalloc(1, sizeof *own);
    size_t i = 0;
    json_t *value = NULL;
    json_array_foreach (json_object_get(json_object_get(state, item), "paths"), i, value) {
        const char *path = json_string_value(value);
        if (!strv_contains(keep, path) && !others_have(state, item, path)) {
            strv_push(&own, path);
        }
    }
    return own;
}
