#include "hooks/addons/addons_files.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "hooks/addons/addons_context.h"
#include "hooks/engine/run.h"
#include "hooks/files/files.h"
#include "lib/core/logger.h"

#define DIRECTORY "addons"
#define SUFFIX ".yaml"

static char *path_of(const struct run *run, const char *name)
{
    _cleanup_free_ char *file = xasprintf(DIRECTORY "/%s" SUFFIX, name);
    return run_state_path(run, file);
}

/* *text is NULL when there is no such file. */
static int load(const struct run *run, const char *name, char **text, struct error **err)
{
    _cleanup_free_ char *path = path_of(run, name);
    _cleanup_error_ struct error *why = NULL;
    if (file_read(path, 0, text, NULL, &why) == 0 || errno == ENOENT) {
        return 0;
    }
    return error_move(err, &why);
}

bool addon_file_there(const struct run *run, const char *name)
{
    _cleanup_free_ char *path = path_of(run, name);
    return access(path, F_OK) == 0;
}

bool addon_file_same(const struct run *run, const struct rendered_addon *addon)
{
    _cleanup_secret_ char *kept = NULL;
    return load(run, addon->name, &kept, NULL) == 0 && kept != NULL && strcmp(kept, addon->text) == 0;
}

int addon_file_write(const struct run *run, const struct rendered_addon *addon, bool *changed, struct error **err)
{
    _cleanup_free_ char *path = path_of(run, addon->name);
    const struct file_spec spec = {path, addon->text, strlen(addon->text), 0600, (uid_t)-1, (gid_t)-1};
    return file_put(&spec, changed, err);
}

int addon_file_remove(const struct run *run, const char *name, struct error **err)
{
    _cleanup_free_ char *path = path_of(run, name);
    return file_remove(path, NULL, err);
}

int addons_files_render(const struct run *run, bool off_machine, struct rendered_addons *addons, struct error **err)
{
    if (!run->role->control_plane || !run->conf->addons.enabled) {
        return 0;
    }
    _cleanup_json_ json_t *context = addons_context(run);
    return addons_render(addons, run->conf, context, off_machine, err);
}

static const char *text_of(const struct manifest *manifest, const struct object *object)
{
    _cleanup_free_ char *key = object_key(object);
    for (size_t i = 0; i < manifest->n; i++) {
        _cleanup_free_ char *other = object_key(&manifest->documents[i].object);
        if (object_key_same(key, other)) {
            return manifest->documents[i].text;
        }
    }
    return NULL;
}

static void print_object(const char *addon, const struct object *object, const char *before, const char *after)
{
    _cleanup_free_ char *label =
        xasprintf("add-on %s: %s %s%s%s", addon, object->kind, object->space != NULL ? object->space : "",
                  object->space != NULL ? "/" : "", object->name);
    print_difference(label, before, after, strcmp(object->kind, "Secret") == 0);
}

static void print_objects(const char *addon, const struct manifest *before, const struct manifest *after)
{
    for (size_t i = 0; i < after->n; i++) {
        const struct document *document = &after->documents[i];
        print_object(addon, &document->object, text_of(before, &document->object), document->text);
    }
    for (size_t i = 0; i < before->n; i++) {
        const struct document *document = &before->documents[i];
        if (text_of(after, &document->object) == NULL) {
            print_object(addon, &document->object, document->text, NULL);
        }
    }
}

/* AFTER is NULL for what goes. 1 when it differs from what is kept. */
static int preview_one(const struct run *run, const char *name, const struct rendered_addon *after, struct error **err)
{
    static const struct manifest nothing = {0};
    _cleanup_secret_ char *kept = NULL;
    _cleanup_manifest_ struct manifest before = {0};
    _cleanup_error_ struct error *why = NULL;
    if (load(run, name, &kept, err) < 0) {
        return -1;
    }
    if (after == NULL ? kept == NULL : kept != NULL && strcmp(kept, after->text) == 0) {
        return 0;
    }
    if (kept != NULL && manifest_add(&before, name, kept, &why) < 0) {
        log_warning("add-on %s: what was applied is not readable any more, so all of it counts as new: %s", name,
                    why->message);
        manifest_free(&before);
    }
    print_objects(name, &before, after != NULL ? &after->manifest : &nothing);
    return 1;
}

static bool known(const struct rendered_addons *addons, const char *name)
{
    for (size_t i = 0; i < addons->n; i++) {
        if (strcmp(addons->list[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Of add-ons that a former version of the suite had. */
static int preview_unknown(const struct run *run, const struct rendered_addons *addons, size_t *changed,
                           struct error **err)
{
    struct dirent **entries = NULL;
    _cleanup_free_ char *path = run_state_path(run, DIRECTORY);
    int n = addons->n == 0 ? 0 : scandir(path, &entries, NULL, alphasort);
    int result = 0;
    for (int i = 0; i < n; i++) {
        size_t len = strlen(entries[i]->d_name);
        _cleanup_free_ char *name =
            str_ends(entries[i]->d_name, SUFFIX) ? xstrndup(entries[i]->d_name, len - strlen(SUFFIX)) : NULL;
        int differs = name == NULL || known(addons, name) || result < 0 ? 0 : preview_one(run, name, NULL, err);
        result = differs < 0 ? -1 : result;
        *changed += differs > 0;
        free(entries[i]);
    }
    free((void *)entries);
    return result;
}

int addons_files_preview(const struct run *run, const struct rendered_addons *addons, size_t *changed,
                         struct error **err)
{
    *changed = 0;
    for (size_t i = 0; i < addons->n; i++) {
        const struct rendered_addon *addon = &addons->list[i];
        int differs = addon->absent ? 0 : preview_one(run, addon->name, addon->on ? addon : NULL, err);
        if (differs < 0) {
            return -1;
        }
        *changed += differs > 0;
    }
    return preview_unknown(run, addons, changed, err);
}

int addons_files_write(const struct run *run, const struct rendered_addons *addons, size_t *changed, struct error **err)
{
    *changed = 0;
    for (size_t i = 0; i < addons->n; i++) {
        const struct rendered_addon *addon = &addons->list[i];
        bool written = false;
        if (!addon->on && addon_file_remove(run, addon->name, err) < 0) {
            return -1;
        }
        if (addon->on && !addon->absent && addon_file_write(run, addon, &written, err) < 0) {
            return -1;
        }
        *changed += written;
    }
    return 0;
}
