#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "bake/bake.h"
#include "bake/fetch/bake_cache.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/system/tree.h"

#define UNPACK_DEADLINE_MS (20L * 60 * 1000)

int overlay_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err)
{
    (void)bake;
    return place_tree(place, "/", item->data, err);
}

static int place_source(struct place *place, const char *to, mode_t mode, const struct source *source,
                        struct error **err)
{
    _cleanup_close_ int fd = open(source->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot read %s", source->path);
    }
    return place_stream(place, to, mode, fd, source->sha256, err) < 0 ? error_wrap(err, "%s", source->path) : 0;
}

static int check_source(const struct source *source, struct error **err)
{
    _cleanup_free_ char *found = NULL;
    if (sha256_file(source->path, &found, err) < 0) {
        return -1;
    }
    if (strcmp(found, source->sha256) != 0) {
        return error_new(err, STATUS_CRYPTO, "%s has the wrong SHA-256: expected %s, found %s", source->path,
                         source->sha256, found);
    }
    return 0;
}

static int unpack(const struct artifact *a, const char *archive, const char *dir, struct error **err)
{
    _cleanup_free_ char *strip = xasprintf("--strip-components=%d", a->strip);
    _cleanup_free_ char *from = xasprintf("--file=%s", archive);
    _cleanup_free_ char *into = xasprintf("--directory=%s", dir);
    const char *const fixed[] = {"tar", "--extract", "--no-same-owner", "--no-same-permissions", strip, from,
                                 into,  "--"};
    _cleanup_free_ const char **argv = xcalloc(ELEMENTS(fixed) + strv_length(a->members) + 1, sizeof *argv);
    memcpy((void *)argv, (const void *)fixed, sizeof fixed);
    for (size_t i = 0; a->members[i] != NULL; i++) {
        argv[ELEMENTS(fixed) + i] = a->members[i];
    }
    struct proc proc = {.argv = argv, .deadline = deadline_in(UNPACK_DEADLINE_MS)};
    return proc_run(&proc, NULL, err);
}

static int run_inside(const struct bake *bake, const struct artifact *a, struct error **err)
{
    _cleanup_free_ char *dir = xasprintf("--chdir=%s", a->to);
    size_t n = strv_length(a->run);
    _cleanup_free_ const char **argv = xcalloc(n + 3, sizeof *argv);
    argv[0] = "env";
    argv[1] = dir;
    memcpy((void *)(argv + 2), (const void *)a->run, n * sizeof *argv);
    return root_run(&bake->root, argv, NULL, err);
}

/* The archive is opened outside the root: a wrong one leaves nothing there. */
static int place_unpacked(const struct bake *bake, const struct artifact *a, const struct source *source,
                          struct place *place, struct error **err)
{
    _cleanup_close_ int lock = -1; /* cache_clean() removes the directory once nobody has it */
    if (cache_lock(bake->options->cache, "unpack", LOCK_SH, &lock, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *parent = cache_path(bake->options->cache, "unpack", a->name, err);
    if (parent == NULL) {
        return -1;
    }
    _cleanup_free_ char *dir = xasprintf("%s.XXXXXX", parent);
    if (mkdtemp(dir) == NULL) {
        return error_errno(err, STATUS_FILE, errno, "cannot make the directory %s", dir);
    }
    int result = check_source(source, err);
    if (result == 0) {
        result = unpack(a, source->path, dir, err);
    }
    if (result == 0) {
        result = place_tree(place, a->to, dir, err);
    }
    (void)tree_remove(dir, NULL);
    return result;
}

static int place_printed(const struct bake *bake, const struct artifact *a, struct place *place, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    if (root_run(&bake->root, (const char *const *)a->command, &text, err) < 0) {
        return -1;
    }
    return place_data(place, a->to, a->mode, text, strlen(text), err);
}

int artifact_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err)
{
    const struct artifact *a = item->data;
    const struct source *source = &bake->artifacts[a - bake->conf->artifacts];
    if (a->command[0] != NULL) {
        return place_printed(bake, a, place, err);
    }
    if (!a->unpack) {
        return place_source(place, a->to, a->mode, source, err);
    }
    if (place_unpacked(bake, a, source, place, err) < 0) {
        return -1;
    }
    if (place->paths == NULL) {
        return error_new(err, STATUS_FILE, "%s holds no file", source->path);
    }
    if (a->run[0] == NULL) {
        return 0;
    }
    if (place_commit(place, err) < 0) {
        return -1;
    }
    if (run_inside(bake, a, err) < 0) {
        place_rollback(place);
        return -1;
    }
    return 0;
}

int image_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err)
{
    const struct container_image *image = item->data;
    _cleanup_free_ char *to = xasprintf("/opt/kubernetes/images/%s.tar", image->name);
    return place_source(place, to, 0644, &bake->images[image - bake->conf->images], err);
}
