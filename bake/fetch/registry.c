#include "bake/fetch/registry.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "bake/fetch/bake_cache.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

#define COPY_DEADLINE_MS (30L * 60 * 1000)

/* docker://[MIRROR/]host/name[:tag] */
static char *remote(const char *mirror, const char *source)
{
    return xasprintf("docker://%s%s%s", str_empty(mirror) ? "" : mirror,
                     str_empty(mirror) || str_ends(mirror, "/") ? "" : "/", source);
}

/* host/name, without tag or digest */
static char *repository(const char *source)
{
    const char *slash = strrchr(source, '/');
    size_t name = strcspn(slash == NULL ? source : slash, ":@");
    return xstrndup(source, (slash == NULL ? 0 : (size_t)(slash - source)) + name);
}

static char **proxies(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "no_proxy"};
    char **list = xcalloc(1, sizeof *list);
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (getenv(names[i]) != NULL) {
            _cleanup_free_ char *pair = xasprintf("%s=%s", names[i], getenv(names[i]));
            strv_push(&list, pair);
        }
    }
    return list;
}

int registry_digest(const char *mirror, const struct container_image *image, char **digest, struct error **err)
{
    _cleanup_free_ char *from = remote(mirror, image->source);
    _cleanup_strv_ char **environment = proxies();
    const char *argv[] = {"skopeo", "--insecure-policy", "inspect", "--retry-times=3", "--raw", from, NULL};
    struct proc proc = {.argv = argv,
                        .environment = (const char *const *)environment,
                        .keep_output = true,
                        .deadline = deadline_in(120000)};
    _cleanup_proc_ struct proc_result result = {0};
    if (proc_run(&proc, &result, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *hex = sha256_hex(result.output, strlen(result.output));
    *digest = xasprintf("sha256:%s", hex);
    return 0;
}

static int copy(const char *mirror, const struct container_image *image, const char *digest, const char *archive,
                struct error **err)
{
    _cleanup_free_ char *name = repository(image->source);
    _cleanup_free_ char *pinned = xasprintf("%s@%s", name, digest);
    _cleanup_free_ char *from = remote(mirror, pinned);
    _cleanup_free_ char *part = xasprintf("%s.part", archive);
    _cleanup_free_ char *to = xasprintf("docker-archive:%s:%s", part, image->reference);
    _cleanup_strv_ char **environment = proxies();
    /* the digest is what is trusted: no policy of signatures is required */
    const char *argv[] = {"skopeo",
                          "--insecure-policy",
                          "copy",
                          "--quiet",
                          "--retry-times=3",
                          "--override-os=linux",
                          "--override-arch=amd64",
                          from,
                          to,
                          NULL};
    struct proc proc = {
        .argv = argv, .environment = (const char *const *)environment, .deadline = deadline_in(COPY_DEADLINE_MS)};
    (void)unlink(part); /* skopeo adds to an archive that is there */
    log_info("image %s: copying %s", image->name, from);
    if (proc_run(&proc, NULL, err) < 0) {
        (void)unlink(part);
        return -1;
    }
    return rename(part, archive) == 0 ? 0 : error_errno(err, STATUS_FILE, errno, "cannot make %s", archive);
}

/* A registry forgets what no tag names any more: then the pin is at fault, not the network. */
static int explain(const char *mirror, const struct container_image *image, const char *digest, struct error **err)
{
    _cleanup_free_ char *found = NULL;
    if (err == NULL || (*err)->status != STATUS_COMMAND || registry_digest(mirror, image, &found, NULL) < 0 ||
        strcmp(found, digest) == 0) {
        return -1;
    }
    error_freep(err);
    *err = NULL;
    return error_new(
        err, STATUS_CRYPTO,
        "%s is not what was pinned: expected %s, which the registry no longer has, found %s; run `k8s-bake "
        "--update-lock %s` to take it",
        image->source, digest, found, image->name);
}

/* Beside an archive lies its hash: skopeo checked the archive against the digest when it copied, this one is for later.
 */
static int known_hash(const char *archive, char **sha256, struct error **err)
{
    _cleanup_free_ char *path = xasprintf("%s.sha256", archive);
    size_t len = 0;
    if (access(archive, R_OK) < 0 || file_read(path, 128, sha256, &len, NULL) < 0) {
        return 0;
    }
    return len == 64 ? 1 : error_new(err, STATUS_FILE, "%s is damaged: remove it", path);
}

static int keep_hash(const char *archive, const char *sha256, struct error **err)
{
    _cleanup_free_ char *path = xasprintf("%s.sha256", archive);
    struct file_spec spec = {
        .path = path, .data = sha256, .len = strlen(sha256), .mode = 0644, .uid = geteuid(), .gid = getegid()};
    return file_put(&spec, NULL, err);
}

int registry_get(const struct options *options, const char *mirror, const struct container_image *image,
                 struct source *got, struct error **err)
{
    const char *digest = got->digest;
    if (!str_starts(digest, "sha256:") || strlen(digest) != 71) {
        return error_new(err, STATUS_CONFIG, "the pin \"%s\" is not a digest (sha256:...)", digest);
    }
    _cleanup_free_ char *reference = sha256_hex(image->reference, strlen(image->reference));
    _cleanup_free_ char *name = xasprintf("%s-%.8s.tar", digest + strlen("sha256:"), reference);
    _cleanup_free_ char *archive = cache_path(options->cache, "images", name, err);
    if (archive == NULL) {
        return -1;
    }
    _cleanup_free_ char *sha256 = NULL;
    _cleanup_close_ int lock = -1;
    if (cache_lock(options->cache, name, LOCK_EX, &lock, err) < 0) {
        return -1;
    }
    int known = known_hash(archive, &sha256, err);
    if (known < 0) {
        return -1;
    }
    if (known == 0) {
        if (options->offline) {
            return error_new(err, STATUS_FILE, "it is not in the cache (%s), and with --offline %s cannot be fetched",
                             archive, image->source);
        }
        free(STEAL(sha256));
        if (copy(mirror, image, digest, archive, err) < 0) {
            return explain(mirror, image, digest, err);
        }
        if (sha256_file(archive, &sha256, err) < 0 || keep_hash(archive, sha256, err) < 0) {
            return -1;
        }
    }
    got->path = STEAL(archive);
    got->sha256 = STEAL(sha256);
    return 0;
}
