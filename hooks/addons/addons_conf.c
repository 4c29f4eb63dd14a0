#include "hooks/addons/addons_conf.h"

#include <string.h>

#include <confuse.h>

#include "lib/core/util.h"
#include "lib/text/conf_file.h"
#include "lib/text/mustache.h"

static void free_cfg(cfg_t **cfg)
{
    cfg_free(*cfg);
}

static struct addons *take(cfg_t *cfg)
{
    struct addons *addons = xcalloc(1, sizeof *addons);
    addons->n = cfg_size(cfg, "addon");
    addons->list = xcalloc(addons->n + 1, sizeof *addons->list);
    for (unsigned i = 0; i < addons->n; i++) {
        cfg_t *section = cfg_getnsec(cfg, "addon", i);
        addons->list[i] = (struct addon){
            .name = xstrdup(cfg_title(section)),
            .upstream = conf_file_list(section, "upstream"),
            .templates = conf_file_list(section, "templates"),
            .when = conf_file_list(section, "when"),
            .after = conf_file_list(section, "after"),
        };
    }
    return addons;
}

static const struct addon *find(const struct addons *addons, size_t from, const char *name)
{
    for (size_t i = from; i < addons->n; i++) {
        if (strcmp(addons->list[i].name, name) == 0) {
            return &addons->list[i];
        }
    }
    return NULL;
}

static int check_names(const struct addons *addons, const char *path, struct error **err)
{
    for (size_t i = 0; i < addons->n; i++) {
        for (char **after = addons->list[i].after; *after != NULL; after++) {
            if (find(addons, 0, *after) == NULL) {
                return error_new(err, STATUS_CONFIG, "%s: add-on \"%s\" comes after \"%s\", which is not an add-on",
                                 path, addons->list[i].name, *after);
            }
        }
    }
    return 0;
}

/* Whether none of what ADDON waits for is still at FROM or later. */
static bool ready(const struct addons *addons, size_t from, const struct addon *addon)
{
    for (char **after = addon->after; *after != NULL; after++) {
        if (find(addons, from, *after) != NULL) {
            return false;
        }
    }
    return true;
}

static int sort(struct addons *addons, const char *path, struct error **err)
{
    for (size_t placed = 0; placed < addons->n; placed++) {
        size_t next = placed;
        while (next < addons->n && !ready(addons, placed, &addons->list[next])) {
            next++;
        }
        if (next == addons->n) {
            return error_new(err, STATUS_CONFIG, "%s: add-on \"%s\" is part of a cycle of `after`", path,
                             addons->list[placed].name);
        }
        struct addon moving = addons->list[next];
        memmove(&addons->list[placed + 1], &addons->list[placed], (next - placed) * sizeof moving);
        addons->list[placed] = moving;
    }
    return 0;
}

int addons_load(struct addons **addons, const char *path, struct error **err)
{
    cfg_opt_t addon[] = {
        CFG_STR_LIST("upstream", NULL, CFGF_NONE),
        CFG_STR_LIST("templates", NULL, CFGF_NONE),
        CFG_STR_LIST("when", NULL, CFGF_NONE),
        CFG_STR_LIST("after", NULL, CFGF_NONE),
        CFG_END(),
    };
    cfg_opt_t file[] = {CFG_SEC("addon", addon, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES), CFG_END()};
    _cleanup_(free_cfg) cfg_t *cfg = cfg_init(file, CFGF_NONE);
    if (conf_file_parse(cfg, path, err) < 0) {
        return -1;
    }
    _cleanup_(addons_freep) struct addons *loaded = take(cfg);
    if (check_names(loaded, path, err) < 0 || sort(loaded, path, err) < 0) {
        return -1;
    }
    *addons = STEAL(loaded);
    return 0;
}

void addons_free(struct addons *addons)
{
    if (addons == NULL) {
        return;
    }
    for (size_t i = 0; i < addons->n; i++) {
        struct addon *addon = &addons->list[i];
        free(addon->name);
        strv_free(addon->upstream);
        strv_free(addon->templates);
        strv_free(addon->when);
        strv_free(addon->after);
    }
    free(addons->list);
    free(addons);
}

void addons_freep(struct addons **addons)
{
    addons_free(*addons);
    *addons = NULL;
}

bool addon_on(const struct addon *addon, const json_t *context)
{
    for (char **when = addon->when; *when != NULL; when++) {
        bool unless = **when == '!';
        if (mustache_truthy(context, *when + unless) == unless) {
            return false;
        }
    }
    return true;
}
