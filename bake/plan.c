#include <errno.h>
#include <string.h>

#include "bake/bake.h"
#include "bake/conf/versions.h"
#include "bake/root/hash.h"
#include "bake/state.h"
#include "lib/core/interrupt.h"
#include "lib/core/logger.h"

struct list {
    struct item *items;
    size_t n;
};

/* Takes TITLE and KEY. */
static void add(struct list *list, char *title, const char *where, char *key, const void *data,
                int (*apply)(struct bake *, const struct item *, struct place *, struct error **))
{
    list->items = xrealloc(list->items, (list->n + 2) * sizeof *list->items);
    struct item *item = &list->items[list->n++];
    item->title = title;
    item->where = where;
    item->key = key;
    item->apply = apply;
    item->data = data;
    list->items[list->n] = (struct item){0};
}

static int add_overlays(struct list *list, const struct bake *bake, struct error **err)
{
    size_t i = 0;
    for (char **dir = bake->conf->overlay.values; *dir != NULL; dir++, i++) {
        _cleanup_(hash_freep) struct hash *hash = hash_new();
        if (tree_hash(*dir, hash, err) < 0) {
            return error_wrap(err, "%s: overlay", bake->conf->overlay.where);
        }
        add(list, xasprintf("overlay %zu", i + 1), bake->conf->overlay.where, hash_end(hash), *dir, overlay_apply);
    }
    return 0;
}

/* What a command prints follows from all that was put in. */
static void add_sources(struct hash *hash, const struct bake *bake)
{
    for (size_t i = 0; i < bake->conf->n_artifacts; i++) {
        hash_string(hash, bake->artifacts[i].sha256);
    }
}

static char *artifact_key(const struct bake *bake, const struct artifact *a, const struct source *source)
{
    _cleanup_(hash_freep) struct hash *hash = hash_new();
    if (a->command[0] != NULL) {
        hash_strings(hash, a->command);
        add_sources(hash, bake);
    }
    _cleanup_free_ char *numbers = xasprintf("%o %d %d", a->mode, a->unpack, a->strip);
    hash_string(hash, source->sha256);
    hash_string(hash, a->to);
    hash_string(hash, numbers);
    hash_strings(hash, a->members);
    hash_strings(hash, a->run);
    return hash_end(hash);
}

static void add_artifacts(struct list *list, const struct bake *bake)
{
    for (size_t i = 0; i < bake->conf->n_artifacts; i++) {
        const struct artifact *a = &bake->conf->artifacts[i];
        add(list, xasprintf("%s %s", a->kind, a->name), a->where, artifact_key(bake, a, &bake->artifacts[i]), a,
            artifact_apply);
    }
}

static char *text_key(const char *a, const char *b)
{
    _cleanup_(hash_freep) struct hash *hash = hash_new();
    hash_string(hash, a);
    hash_string(hash, b);
    return hash_end(hash);
}

static void add_images(struct list *list, const struct bake *bake)
{
    for (size_t i = 0; i < bake->conf->n_images; i++) {
        const struct container_image *image = &bake->conf->images[i];
        const struct source *source = &bake->images[i];
        if (image->preload) {
            add(list, xasprintf("image %s", image->name), image->where,
                text_key(image->reference, source->digest != NULL ? source->digest : source->sha256), image,
                image_apply);
        }
    }
}

static void add_settings(struct list *list, const struct bake *bake)
{
    const struct settings *all[] = {&bake->conf->sysctl, &bake->conf->modules, &bake->conf->limits};
    const char *const names[] = {"sysctl", "modules", "limits"};
    for (size_t i = 0; i < ELEMENTS(all); i++) {
        _cleanup_(hash_freep) struct hash *hash = hash_new();
        hash_strings(hash, all[i]->values);
        if (all[i]->values[0] != NULL) {
            add(list, xstrdup(names[i]), all[i]->where, hash_end(hash), all[i], settings_apply);
        }
    }
}

static void add_users(struct list *list, const struct bake *bake)
{
    for (size_t i = 0; i < bake->conf->n_users; i++) {
        const struct user_entry *user = &bake->conf->users[i];
        _cleanup_(hash_freep) struct hash *hash = hash_new();
        _cleanup_free_ char *uid = xasprintf("%ld", user->uid);
        hash_string(hash, uid);
        hash_string(hash, user->home);
        hash_string(hash, user->shell);
        hash_strings(hash, user->groups);
        add(list, xasprintf("user %s", user->name), user->where, hash_end(hash), user, user_apply);
    }
}

static void add_units(struct list *list, const struct bake *bake)
{
    static const char *const states[] = {"enabled", "disabled", "masked"};
    for (size_t i = 0; i < bake->conf->n_units; i++) {
        const struct unit_entry *unit = &bake->conf->units[i];
        add(list, xasprintf("unit %s", unit->name), unit->where, text_key(states[unit->wish], NULL), unit, unit_apply);
    }
}

int plan_make(const struct bake *bake, struct item **items, struct error **err)
{
    struct list list = {0};
    _cleanup_json_ json_t *versions = versions_json(bake->conf);
    _cleanup_free_ char *text = json_dumps(versions, JSON_SORT_KEYS);
    *items = NULL;
    if (add_overlays(&list, bake, err) < 0) {
        plan_free(list.items);
        return -1;
    }
    add_artifacts(&list, bake);
    add_images(&list, bake);
    add_settings(&list, bake);
    add_users(&list, bake);
    add_units(&list, bake);
    add(&list, xstrdup("versions"), bake->conf->path, text_key(text, NULL), NULL, versions_apply);
    *items = list.items;
    return 0;
}

char *plan_inputs(const struct bake *bake, const struct item *items, const char *base)
{
    _cleanup_(hash_freep) struct hash *hash = hash_new();
    hash_string(hash, SUITE_VERSION);
    hash_string(hash, base);
    for (; items->title != NULL; items++) {
        hash_string(hash, items->title);
        hash_string(hash, items->key);
    }
    hash_strings(hash, bake->conf->clean.values);
    hash_string(hash, bake->disk ? bake->conf->disk_size : NULL);
    hash_string(hash, bake->disk ? bake->conf->disk_cmdline : NULL);
    return hash_end(hash);
}

bool plan_has(const struct bake *bake, const struct item *items, const void *data)
{
    while (items->title != NULL && items->data != data) {
        items++;
    }
    return items->title != NULL && state_has(bake->state, &bake->root, items->title, items->key);
}

void plan_free(struct item *items)
{
    for (struct item *item = items; item != NULL && item->title != NULL; item++) {
        free(item->title);
        free(item->key);
    }
    free(items);
}

/* TOUCHED grows by the paths that are new or other than before. */
static int apply(struct bake *bake, const struct item *item, char ***touched, struct error **err)
{
    _cleanup_place_ struct place place = {.root = &bake->root};
    int64_t begin = clock_ms();
    if (item->apply(bake, item, &place, err) < 0) {
        return error_wrap(err, "%s: %s", item->where, item->title);
    }
    _cleanup_strv_ char **gone = state_own_paths(bake->state, item->title, place.paths);
    if (place_commit(&place, err) < 0) {
        return error_wrap(err, "%s: %s", item->where, item->title);
    }
    for (char **path = gone; *path != NULL; path++) {
        if (root_remove(&bake->root, *path, err) < 0) {
            return -1;
        }
    }
    if (state_set(bake->state, &bake->root, item->title, item->key, place.paths, err) < 0) {
        return -1;
    }
    for (char **path = place.paths; path != NULL && *path != NULL; path++) {
        strv_push(touched, *path);
    }
    log_timed(LOG_LEVEL_INFO, clock_ms() - begin, "%s", item->title);
    return 0;
}

static bool planned(const struct item *items, const char *title)
{
    for (; items->title != NULL; items++) {
        if (strcmp(items->title, title) == 0) {
            return true;
        }
    }
    return false;
}

static int remove_item(struct bake *bake, const char *title, struct error **err)
{
    _cleanup_strv_ char **own = state_own_paths(bake->state, title, NULL);
    for (char **path = own; *path != NULL; path++) {
        if (root_remove(&bake->root, *path, err) < 0) {
            return -1;
        }
    }
    log_info("removed %s (%zu files)", title, strv_length(own));
    return state_drop(bake->state, &bake->root, title, err);
}

static int remove_old_items(struct bake *bake, const struct item *items, struct error **err)
{
    _cleanup_strv_ char **old = xcalloc(1, sizeof *old);
    const char *title = NULL;
    json_t *entry = NULL;
    json_object_foreach (bake->state, title, entry) {
        if (strcmp(title, "packages") != 0 && !planned(items, title)) {
            strv_push(&old, title);
        }
    }
    for (char **t = old; *t != NULL; t++) {
        if (remove_item(bake, *t, err) < 0) {
            return -1;
        }
        bake->applied++;
    }
    return 0;
}

/* Whether an item that was applied in this run lies over what ITEM put in before it. */
static bool covered(const struct bake *bake, const struct item *item, char *const *touched)
{
    for (; touched != NULL && *touched != NULL; touched++) {
        if (state_has_path(bake->state, item->title, *touched)) {
            return true;
        }
    }
    return false;
}

int plan_apply(struct bake *bake, const struct item *items, struct error **err)
{
    _cleanup_strv_ char **touched = NULL;
    if (remove_old_items(bake, items, err) < 0) {
        return -1;
    }
    for (const struct item *item = items; item->title != NULL; item++) {
        if (interrupt_check(err) < 0) {
            return -1;
        }
        if (state_has(bake->state, &bake->root, item->title, item->key) && !covered(bake, item, touched)) {
            bake->skipped++;
        } else if (apply(bake, item, &touched, err) < 0) {
            return -1;
        } else {
            bake->applied++;
        }
    }
    return 0;
}

char *uuid_of(const char *hash)
{
    return xasprintf("%.8s-%.4s-5%.3s-a%.3s-%.12s", hash, hash + 8, hash + 12, hash + 15, hash + 18);
}
