#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bake/bake.h"
#include "bake/conf/pins.h"
#include "bake/fetch/fetch.h"
#include "bake/fetch/registry.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"

static const char *mirror_of(const struct bake *bake)
{
    return bake->options->mirror != NULL ? bake->options->mirror : bake->conf->mirror;
}

static const char *registry_mirror_of(const struct bake *bake)
{
    return bake->options->registry_mirror != NULL ? bake->options->registry_mirror : bake->conf->registry_mirror;
}

/* PIN NULL: whatever the file is. */
static int local_source(struct source *source, const char *path, const char *pin, struct error **err)
{
    if (sha256_file(path, &source->sha256, err) < 0) {
        return -1;
    }
    if (pin != NULL && strcmp(pin, source->sha256) != 0) {
        return error_new(err, STATUS_CRYPTO, "%s has the wrong SHA-256: expected %s, found %s", path, pin,
                         source->sha256);
    }
    source->path = xstrdup(path);
    return 0;
}

static const char *artifact_pin(const struct bake *bake, const struct artifact *a)
{
    if (a->sha256 != NULL || a->built || a->command[0] != NULL) {
        return a->sha256;
    }
    return lock_sha256(bake->lock, a->url != NULL ? a->url : a->file);
}

static const char *image_pin(const struct bake *bake, const struct container_image *image)
{
    if (image->archive != NULL) {
        return image->built ? NULL : lock_sha256(bake->lock, image->archive);
    }
    return lock_digest(bake->lock, image->source);
}

static int check_pins(const struct bake *bake, struct error **err)
{
    _cleanup_buffer_ struct buffer missing = {0};
    for (size_t i = 0; i < bake->conf->n_artifacts; i++) {
        const struct artifact *a = &bake->conf->artifacts[i];
        if (!a->built && a->command[0] == NULL && artifact_pin(bake, a) == NULL) {
            buffer_printf(&missing, "\n  %s: %s %s from %s", a->where, a->kind, a->name,
                          a->url != NULL ? a->url : a->file);
        }
    }
    for (size_t i = 0; i < bake->conf->n_images; i++) {
        const struct container_image *image = &bake->conf->images[i];
        if (image->preload && !image->built && image_pin(bake, image) == NULL) {
            buffer_printf(&missing, "\n  %s: image %s from %s", image->where, image->name,
                          image->archive != NULL ? image->archive : image->source);
        }
    }
    if (missing.len > 0) {
        return error_new(err, STATUS_CRYPTO,
                         "image.lock has no pin for these, and nothing goes into an image unverified; run `k8s-bake "
                         "--conf %s --update-lock` where the network reaches them, and commit the lock:%s",
                         bake->conf->path, missing.data);
    }
    return 0;
}

static struct fetch_options fetch_options(const struct bake *bake)
{
    return (struct fetch_options){
        .cache = bake->options->cache,
        .mirror = mirror_of(bake),
        .jobs = bake->options->jobs,
        .offline = bake->options->offline,
    };
}

static int know_artifacts(struct bake *bake, struct error **err)
{
    for (size_t i = 0; i < bake->conf->n_artifacts; i++) {
        const struct artifact *a = &bake->conf->artifacts[i];
        const char *pin = artifact_pin(bake, a);
        if (a->url != NULL) {
            bake->artifacts[i].sha256 = xstrdup(pin);
        } else if (a->file != NULL && local_source(&bake->artifacts[i], a->file, pin, err) < 0) {
            return error_wrap(err, "%s: %s %s", a->where, a->kind, a->name);
        }
    }
    return 0;
}

static int know_images(struct bake *bake, struct error **err)
{
    for (size_t i = 0; i < bake->conf->n_images; i++) {
        const struct container_image *image = &bake->conf->images[i];
        const char *pin = image_pin(bake, image);
        if (!image->preload) {
            continue;
        }
        if (image->archive == NULL) {
            bake->images[i].digest = xstrdup(pin);
        } else if (local_source(&bake->images[i], image->archive, pin, err) < 0) {
            return error_wrap(err, "%s: image %s", image->where, image->name);
        }
    }
    return 0;
}

int sources_know(struct bake *bake, struct error **err)
{
    bake->artifacts = xcalloc(bake->conf->n_artifacts + 1, sizeof *bake->artifacts);
    bake->images = xcalloc(bake->conf->n_images + 1, sizeof *bake->images);
    return check_pins(bake, err) < 0 || know_artifacts(bake, err) < 0 ? -1 : know_images(bake, err);
}

static int get_artifacts(struct bake *bake, const struct item *items, struct error **err)
{
    const struct bake_conf *conf = bake->conf;
    _cleanup_free_ struct download *downloads = xcalloc(conf->n_artifacts + 1, sizeof *downloads);
    struct fetch_options options = fetch_options(bake);
    size_t n = 0;
    for (size_t i = 0; i < conf->n_artifacts; i++) {
        const struct artifact *a = &conf->artifacts[i];
        if (a->url != NULL && !plan_has(bake, items, a)) {
            downloads[n++] = (struct download){.name = a->name,
                                               .where = a->where,
                                               .url = a->url,
                                               .sha256 = artifact_pin(bake, a),
                                               .got = &bake->artifacts[i]};
        }
    }
    return fetch_all(downloads, n, &options, err);
}

int sources_get(struct bake *bake, const struct item *items, struct error **err)
{
    if (get_artifacts(bake, items, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < bake->conf->n_images; i++) {
        const struct container_image *image = &bake->conf->images[i];
        if (image->preload && image->archive == NULL && !plan_has(bake, items, image) &&
            registry_get(bake->options, registry_mirror_of(bake), image, &bake->images[i], err) < 0) {
            return error_wrap(err, "%s: image %s", image->where, image->name);
        }
    }
    return 0;
}

static void free_list(struct source *list, size_t n)
{
    for (size_t i = 0; list != NULL && i < n; i++) {
        free(list[i].path);
        free(list[i].sha256);
        free(list[i].digest);
    }
    free(list);
}

void sources_free(struct bake *bake)
{
    free_list(bake->artifacts, bake->conf->n_artifacts);
    free_list(bake->images, bake->conf->n_images);
}

static int pin_artifacts(struct bake *bake, char *const *names, struct error **err)
{
    const struct bake_conf *conf = bake->conf;
    _cleanup_free_ struct download *downloads = xcalloc(conf->n_artifacts + 1, sizeof *downloads);
    struct fetch_options options = fetch_options(bake);
    size_t n = 0;
    for (size_t i = 0; i < conf->n_artifacts; i++) {
        const struct artifact *a = &conf->artifacts[i];
        const char *pin = strv_contains(names, a->name) ? NULL : artifact_pin(bake, a);
        if (pin != NULL || a->sha256 != NULL || a->built || a->command[0] != NULL) {
            continue;
        }
        if (a->url != NULL) {
            downloads[n++] =
                (struct download){.name = a->name, .where = a->where, .url = a->url, .got = &bake->artifacts[i]};
        } else if (local_source(&bake->artifacts[i], a->file, NULL, err) < 0) {
            return error_wrap(err, "%s: %s %s", a->where, a->kind, a->name);
        }
    }
    int result = fetch_all(downloads, n, &options, err);
    for (size_t i = 0; i < conf->n_artifacts; i++) {
        const struct artifact *a = &conf->artifacts[i];
        if (bake->artifacts[i].sha256 != NULL) {
            lock_set_sha256(bake->lock, a->url != NULL ? a->url : a->file, bake->artifacts[i].sha256);
            log_notice("pinned %s %s: %s", a->kind, a->name, bake->artifacts[i].sha256);
        }
    }
    return result;
}

static int pin_images(struct bake *bake, char *const *names, struct error **err)
{
    for (size_t i = 0; i < bake->conf->n_images; i++) {
        const struct container_image *image = &bake->conf->images[i];
        const char *pin = strv_contains(names, image->name) ? NULL : image_pin(bake, image);
        _cleanup_free_ char *found = NULL;
        if (pin != NULL || image->built || !image->preload) {
            continue;
        }
        int result = image->archive != NULL ? sha256_file(image->archive, &found, err)
                                            : registry_digest(registry_mirror_of(bake), image, &found, err);
        if (result < 0) {
            return error_wrap(err, "%s: image %s", image->where, image->name);
        }
        if (image->archive != NULL) {
            lock_set_sha256(bake->lock, image->archive, found);
        } else {
            lock_set_digest(bake->lock, image->source, found);
        }
        log_notice("pinned image %s: %s", image->name, found);
    }
    return 0;
}

int sources_update_lock(struct bake *bake, char *const *names, struct error **err)
{
    bake->artifacts = xcalloc(bake->conf->n_artifacts + 1, sizeof *bake->artifacts);
    bake->images = xcalloc(bake->conf->n_images + 1, sizeof *bake->images);
    int result = pin_artifacts(bake, names, err);
    if (result == 0) {
        result = pin_images(bake, names, err);
    }
    /* What could be learnt before a failure is kept. */
    return lock_save(bake->options->lock, bake->lock, result < 0 ? NULL : err) < 0 ? -1 : result;
}
