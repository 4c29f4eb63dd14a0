#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bake/bake.h"
#include "bake/fetch/bake_cache.h"
#include "bake/root/hash.h"
#include "bake/state.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/system/tree.h"

#define BASE_ITEM "packages"
#define BASE_DEADLINE_MS (30L * 60 * 1000)

/* Manual pages and translations are for people; a node has none. Licences stay. */
static const char *const dpkg_excludes[] = {
    "--dpkgopt=path-exclude=/usr/share/man/*",    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **package_list(const struct bake *bake)
{
    char **list = xcalloc(1, sizeof *list);
    char *const *parts[] = {bake->conf->packages.values, bake->disk ? bake->conf->disk_packages.values : NULL};
    for (size_t i = 0; i < ELEMENTS(parts); i++) {
        for (char *const *p = parts[i]; p != NULL && *p != NULL; p++) {
            if (!strv_contains(list, *p) && !bake_conf_left_out(bake->conf, "package", *p)) {
                strv_push(&list, *p);
            }
        }
    }
    qsort((void *)list, strv_length(list), sizeof *list, compare);
    return list;
}

static int base_key(const struct bake *bake, char *const *packages, char **key, struct error **err)
{
    _cleanup_free_ char *sources = NULL;
    size_t len = 0;
    if (!bake->options->in_place && file_read(bake->conf->apt_sources, 0, &sources, &len, err) < 0) {
        return error_wrap(err, "apt-sources of %s", bake->conf->path);
    }
    _cleanup_(hash_freep) struct hash *hash = hash_new();
    _cleanup_free_ char *epoch = xasprintf("base 1 %ld", bake->epoch);
    hash_string(hash, epoch);
    hash_string(hash, bake->conf->suite);
    hash_add(hash, sources == NULL ? "" : sources, len);
    hash_strings(hash, packages);
    for (size_t i = 0; i < ELEMENTS(dpkg_excludes); i++) {
        hash_string(hash, dpkg_excludes[i]);
    }
    *key = hash_end(hash);
    return 0;
}

static char *joined(char *const *list)
{
    struct buffer b = {0};
    buffer_puts(&b, "--include=");
    for (size_t i = 0; list[i] != NULL; i++) {
        buffer_printf(&b, "%s%s", i == 0 ? "" : ",", list[i]);
    }
    return b.data;
}

/* The base system as a tar archive that other bakes from the same list take too. */
static int make_archive(const struct bake *bake, const char *archive, char *const *packages, struct error **err)
{
    _cleanup_free_ char *part = xasprintf("%s.part", archive);
    _cleanup_free_ char *include = joined(packages);
    _cleanup_free_ char *epoch = xasprintf("SOURCE_DATE_EPOCH=%ld", bake->epoch);
    const char *argv[24] = {"mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", include};
    size_t n = 5;
    for (size_t i = 0; i < ELEMENTS(dpkg_excludes); i++) {
        argv[n++] = dpkg_excludes[i];
    }
    argv[n++] = bake->conf->suite;
    argv[n++] = part;
    argv[n] = bake->conf->apt_sources;
    const char *environment[] = {epoch, "TMPDIR=/var/tmp", NULL};
    if (bake->options->offline) {
        return error_new(err, STATUS_FILE,
                         "%s: there is no base system with these packages in the cache (%s), and with --offline they "
                         "cannot be fetched",
                         bake->conf->packages.where, archive);
    }
    (void)unlink(part);
    log_info("installing %zu packages and what they need (%s)", strv_length(packages), bake->conf->suite);
    struct proc proc = {.argv = argv, .environment = environment, .deadline = deadline_in(BASE_DEADLINE_MS)};
    if (proc_run(&proc, NULL, err) < 0) {
        (void)unlink(part);
        return error_wrap(err, "%s: packages", bake->conf->packages.where);
    }
    return rename(part, archive) == 0 ? 0 : error_errno(err, STATUS_FILE, errno, "cannot make %s", archive);
}

/* A base system in the cache, locked: nobody makes it at the same time or removes it. */
struct base {
    char *archive;
    int lock;
    bool cached; /* it was there before */
};

static void base_done(struct base *base)
{
    util_closep(&base->lock);
    free(base->archive);
}

/* Makes the archive unless it is there. The caller calls base_done() also on failure. */
static int cache_archive(const struct bake *bake, char *const *packages, const char *key, struct base *base,
                         struct error **err)
{
    const char *cache = bake->options->cache;
    _cleanup_free_ char *name = xasprintf("%s.tar", key);
    *base = (struct base){.archive = cache_path(cache, "base", name, err), .lock = -1};
    if (base->archive == NULL || cache_lock(cache, name, LOCK_EX, &base->lock, err) < 0) {
        return -1;
    }
    base->cached = access(base->archive, R_OK) == 0 && !bake->options->refresh;
    if (!base->cached && make_archive(bake, base->archive, packages, err) < 0) {
        return -1;
    }
    cache_use_base(cache, base->archive);
    return 0;
}

int base_fetch(const struct bake *bake, struct error **err)
{
    _cleanup_free_ char *key = NULL;
    _cleanup_(base_done) struct base base = {.lock = -1};
    _cleanup_strv_ char **packages = package_list(bake);
    if (base_key(bake, packages, &key, err) < 0 || cache_archive(bake, packages, key, &base, err) < 0) {
        return -1;
    }
    log_notice("%s: %s", base.archive, base.cached ? "there already" : "made");
    return 0;
}

static int unpack_archive(const char *archive, const char *dir, struct error **err)
{
    const char *argv[] = {"tar",
                          "--extract",
                          "--numeric-owner",
                          "--preserve-permissions",
                          "--same-owner",
                          "--xattrs",
                          "--xattrs-include=*",
                          "--file",
                          archive,
                          "--directory",
                          dir,
                          NULL};
    struct proc proc = {.argv = argv, .deadline = deadline_in(BASE_DEADLINE_MS)};
    return proc_run(&proc, NULL, err);
}

/* DIR is replaced only by rename, so it is either as it was or a whole base system with its record. */
static int make_root(struct bake *bake, const char *dir, const char *archive, const char *key, struct error **err)
{
    _cleanup_free_ char *part = xasprintf("%s.part", dir);
    _cleanup_free_ char *old = xasprintf("%s.old", dir);
    _cleanup_root_ struct root root = {.fd = -1};
    _cleanup_json_ json_t *state = json_object();
    if (tree_remove(part, err) < 0 || tree_remove(old, err) < 0 || dir_make(part, 0755, err) < 0 ||
        unpack_archive(archive, part, err) < 0 || root_open(&root, part, bake->epoch, err) < 0 ||
        state_set(state, &root, BASE_ITEM, key, NULL, err) < 0) {
        (void)tree_remove(part, NULL);
        return -1;
    }
    if (rename(dir, old) < 0 && errno != ENOENT) {
        return error_errno(err, STATUS_FILE, errno, "cannot move %s away", dir);
    }
    if (rename(part, dir) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot rename %s to %s", part, dir);
    }
    return tree_remove(old, err);
}

int base_inputs(const struct bake *bake, char **hash, struct error **err)
{
    _cleanup_strv_ char **packages = package_list(bake);
    return base_key(bake, packages, hash, err);
}

static bool is_empty(const char *dir)
{
    return rmdir(dir) == 0 || errno == ENOENT;
}

/* A bake may wipe only what a bake made. */
static int check_root(const struct bake *bake, const char *dir, bool *fresh, const char *key, struct error **err)
{
    _cleanup_root_ struct root root = {.fd = -1};
    _cleanup_json_ json_t *state = NULL;
    *fresh = false;
    if (is_empty(dir)) {
        return 0;
    }
    if (root_open(&root, dir, bake->epoch, err) < 0 || state_load(&root, &state, err) < 0) {
        return -1;
    }
    const char *recorded = state_key(state, BASE_ITEM);
    if (recorded == NULL) {
        return error_new(err, STATUS_USAGE, "%s holds something that k8s-bake did not make: give an empty directory",
                         dir);
    }
    *fresh = strcmp(recorded, key) == 0 && !bake->options->refresh;
    return 0;
}

static int base_root(struct bake *bake, const char *dir, struct error **err)
{
    bool fresh = false;
    _cleanup_free_ char *key = NULL;
    _cleanup_strv_ char **packages = package_list(bake);
    if (base_key(bake, packages, &key, err) < 0 || key == NULL || check_root(bake, dir, &fresh, key, err) < 0) {
        return -1;
    }
    if (!fresh) {
        _cleanup_(base_done) struct base base = {.lock = -1};
        if (cache_archive(bake, packages, key, &base, err) < 0 || make_root(bake, dir, base.archive, key, err) < 0) {
            return -1;
        }
        bake->applied++;
        log_info("packages: a base system %s", base.cached ? "from the cache" : "made and kept in the cache");
    } else {
        bake->skipped++;
    }
    return 0;
}

static int missing_packages(char *const *packages, char ***missing, struct error **err)
{
    const char *argv[] = {"dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", NULL};
    struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(60000)};
    _cleanup_proc_ struct proc_result result = {0};
    if (proc_run(&proc, &result, err) < 0) {
        return -1;
    }
    *missing = xcalloc(1, sizeof **missing);
    _cleanup_strv_ char **words = strv_split(result.output);
    for (; *packages != NULL; packages++) {
        bool there = false;
        for (size_t i = 0; words[i] != NULL && words[i + 1] != NULL && !there; i += 2) {
            there = strcmp(words[i], *packages) == 0 && strcmp(words[i + 1], "installed") == 0;
        }
        if (!there) {
            strv_push(missing, *packages);
        }
    }
    return 0;
}

static int base_in_place(struct bake *bake, struct error **err)
{
    _cleanup_strv_ char **packages = package_list(bake);
    _cleanup_strv_ char **missing = NULL;
    if (missing_packages(packages, &missing, err) < 0) {
        return -1;
    }
    if (missing[0] == NULL) {
        bake->skipped++;
        return 0;
    }
    log_info("installing %zu packages and what they need", strv_length(missing));
    const char *update[] = {"apt-get", "--quiet", "update", NULL};
    _cleanup_free_ const char **install = xcalloc(strv_length(missing) + 5, sizeof *install);
    const char *const fixed[] = {"apt-get", "--quiet", "--yes", "--no-install-recommends", "install"};
    size_t n = 0;
    for (; n < ELEMENTS(fixed); n++) {
        install[n] = fixed[n];
    }
    install = xrealloc((void *)install, (n + strv_length(missing) + 1) * sizeof *install);
    for (char **p = missing; *p != NULL; p++) {
        install[n++] = *p;
    }
    install[n] = NULL;
    if (root_run(&bake->root, update, NULL, err) < 0 || root_run(&bake->root, install, NULL, err) < 0) {
        return error_wrap(err, "%s: packages", bake->conf->packages.where);
    }
    bake->applied++;
    return 0;
}

int base_open(struct bake *bake, const char *dir, struct error **err)
{
    if (bake->options->in_place) {
        return root_open(&bake->root, "/", bake->epoch, err) < 0 ? -1 : base_in_place(bake, err);
    }
    return base_root(bake, dir, err) < 0 ? -1 : root_open(&bake->root, dir, bake->epoch, err);
}
