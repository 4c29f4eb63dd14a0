#include "hooks/addons_render.h"

#include <string.h>

#include "lib/crypto.h"
#include "lib/file.h"
#include "lib/mustache.h"

#define CHECKSUM_DIGITS 12

static int add_upstream(const struct conf *conf, const char *name, struct manifest *manifest, struct error **err)
{
    _cleanup_free_ char *directory = path_join(conf->paths.opt, "manifests");
    _cleanup_free_ char *path = path_join(directory, name);
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

int addon_render(const struct addon *addon, const struct conf *conf, const json_t *context, struct manifest *manifest,
                 char **hash, struct error **err)
{
    _cleanup_manifest_ struct manifest made = {0};
    for (char **name = addon->upstream; *name != NULL; name++) {
        if (add_upstream(conf, *name, &made, err) < 0) {
            return error_wrap(err, "add-on %s", addon->name);
        }
    }
    _cleanup_buffer_ struct buffer rendered = {0};
    for (char **name = addon->templates; *name != NULL; name++) {
        if (add_template(conf, *name, context, &rendered, &made, err) < 0) {
            return error_wrap(err, "add-on %s", addon->name);
        }
    }
    manifest_sort(&made);
    _cleanup_secret_ char *text = manifest_text(&made, 0, made.n);
    *hash = sha256_hex(text, strlen(text));
    *manifest = made;
    made = (struct manifest){0};
    return 0;
}
