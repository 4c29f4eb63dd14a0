#include "hooks/addons/addons_render.h"

#include <string.h>
#include <unistd.h>

#include "hooks/addons/addons_conf.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/text/mustache.h"

#define CHECKSUM_DIGITS 12

static char *upstream_path(const struct conf *conf, const char *name)
{
    _cleanup_free_ char *directory = path_join(conf->paths.opt, "manifests");
    return path_join(directory, name);
}

static int add_upstream(const struct conf *conf, const char *name, struct manifest *manifest, struct error **err)
{
    _cleanup_free_ char *path = upstream_path(conf, name);
    _cleanup_free_ char *text = NULL;
    if (file_read(path, 0, &text, NULL, err) < 0) {
        return error_wrap(err, "the image brought no release manifest %s", name);
    }
    return manifest_add(manifest, path, text, err);
}

/* SOFAR holds what earlier templates rendered to and grows by what this one does. */
static int add_template(const struct conf *conf, const char *name, const json_t *context, struct buffer *sofar,
                        struct manifest *manifest, struct error **err)
{
    _cleanup_free_ char *path = path_join(conf->paths.templates, name);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    if (file_read(path, 0, &text, &len, err) < 0) {
        return -1;
    }
    _cleanup_buffer_ struct buffer seen = {0};
    if (sofar->len > 0) {
        buffer_append(&seen, sofar->data, sofar->len);
    }
    buffer_append(&seen, text, len);
    _cleanup_free_ char *checksum = sha256_hex(seen.data, seen.len);
    checksum[CHECKSUM_DIGITS] = '\0';
    _cleanup_json_ json_t *wider = json_copy((json_t *)context);
    json_object_set_new(wider, "addon", json_pack("{s:s}", "checksum", checksum));

    const struct mustache_options options = {.format = FORMAT_YAML, .strict = true, .partials = conf->paths.templates};
    size_t before = sofar->len;
    if (mustache_render(name, text, len, wider, &options, sofar, err) < 0) {
        return -1;
    }
    return sofar->len == before ? 0 : manifest_add(manifest, name, sofar->data + before, err);
}

static int render_one(const struct addon *addon, const struct conf *conf, const json_t *context,
                      struct rendered_addon *rendered, struct error **err)
{
    for (char **name = addon->upstream; *name != NULL; name++) {
        if (add_upstream(conf, *name, &rendered->manifest, err) < 0) {
            return -1;
        }
    }
    _cleanup_(buffer_wipe) struct buffer sofar = {0};
    for (char **name = addon->templates; *name != NULL; name++) {
        if (add_template(conf, *name, context, &sofar, &rendered->manifest, err) < 0) {
            return -1;
        }
    }
    manifest_annotate(&rendered->manifest, ADDON_ANNOTATION, addon->name);
    manifest_sort(&rendered->manifest);
    rendered->text = manifest_text(&rendered->manifest, 0, rendered->manifest.n);
    rendered->hash = sha256_hex(rendered->text, strlen(rendered->text));
    return 0;
}

static bool upstream_there(const struct addon *addon, const struct conf *conf)
{
    for (char **name = addon->upstream; *name != NULL; name++) {
        _cleanup_free_ char *path = upstream_path(conf, *name);
        if (access(path, F_OK) < 0) {
            log_warning("add-on %s is left out: its release manifest %s, which an image brings, is not here",
                        addon->name, path);
            return false;
        }
    }
    return true;
}

int addons_render(struct rendered_addons *addons, const struct conf *conf, const json_t *context, bool off_machine,
                  struct error **err)
{
    _cleanup_(addons_freep) struct addons *known = NULL;
    _cleanup_free_ char *path = path_join(conf->paths.roles, "addons.conf");
    if (addons_load(&known, path, err) < 0) {
        return -1;
    }
    bool images = json_object_size(json_object_get(context, "images")) > 0;
    if (off_machine && !images) {
        log_warning("add-ons are left out: %s/versions.json, which an image brings, is not here", conf->paths.opt);
    }
    addons->list = xcalloc(known->n + 1, sizeof *addons->list);
    for (size_t i = 0; i < known->n; i++) {
        const struct addon *addon = &known->list[i];
        struct rendered_addon *rendered = &addons->list[addons->n++];
        rendered->name = xstrdup(addon->name);
        rendered->on = !strv_contains(conf->addons.skip, addon->name) && addon_on(addon, context);
        rendered->absent = rendered->on && off_machine && (!images || !upstream_there(addon, conf));
        if (rendered->on && !rendered->absent && render_one(addon, conf, context, rendered, err) < 0) {
            return error_wrap(err, "add-on %s", addon->name);
        }
    }
    return 0;
}

void rendered_addons_free(struct rendered_addons *addons)
{
    for (size_t i = 0; i < addons->n; i++) {
        free(addons->list[i].name);
        manifest_free(&addons->list[i].manifest);
        util_wipe_freep(&addons->list[i].text);
        free(addons->list[i].hash);
    }
    free(addons->list);
    *addons = (struct rendered_addons){0};
}
