#include "bake/fetch/bake_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

#define POLL_MS 200 /* a lock of another process is not an event that can be waited for beside a signal */
#define PART ".part"
#define RECENT_S (24L * 60 * 60)

char *cache_path(const char *cache, const char *kind, const char *name, struct error **err)
{
    _cleanup_free_ char *dir = path_join(cache, kind);
    return dir_make(dir, 0755, err) < 0 ? NULL : path_join(dir, name);
}

/* 1: locked; 0: another bake has it. */
static int try_lock(const char *cache, const char *name, int operation, int *fd, struct error **err)
{
    _cleanup_free_ char *path = cache_path(cache, "lock", name, err);
    if (path == NULL) {
        return -1;
    }
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot open %s", path);
    }
    if (flock(file, operation | LOCK_NB) < 0) {
        int why = errno;
        close(file);
        return why == EWOULDBLOCK ? 0 : error_errno(err, STATUS_FILE, why, "cannot lock %s", path);
    }
    *fd = file;
    return 1;
}

int cache_lock(const char *cache, const char *name, int operation, int *fd, struct error **err)
{
    bool reported = false;
    int locked = try_lock(cache, name, operation, fd, err);
    while (locked == 0) {
        if (!reported) {
            log_info("waiting for another k8s-bake that holds %s/lock/%s", cache, name);
            reported = true;
        }
        if (interrupt_sleep(POLL_MS, deadline_never(), err) < 0) {
            return -1;
        }
        locked = try_lock(cache, name, operation, fd, err);
    }
    return locked < 0 ? -1 : 0;
}

int cache_try_lock(const char *cache, const char *name, int *fd, struct error **err)
{
    *fd = -1;
    return try_lock(cache, name, LOCK_EX, fd, err) < 0 ? -1 : 0;
}

/* Removes CACHE/KIND/NAME.part of each NAME that no bake has locked. */
static int remove_parts(const char *cache, const char *kind, struct error **err)
{
    _cleanup_free_ char *pattern = xasprintf("%s/%s/*" PART, cache, kind);
    glob_t found = {0};
    int result = 0;
    (void)glob(pattern, 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc && result == 0; i++) {
        const char *path = found.gl_pathv[i];
        const char *base = strrchr(path, '/') + 1;
        _cleanup_free_ char *name = xstrndup(base, strlen(base) - strlen(PART));
        _cleanup_close_ int lock = -1;
        result = cache_try_lock(cache, name, &lock, err);
        if (result == 0 && lock >= 0) {
            result = file_remove(path, NULL, err);
        }
    }
    globfree(&found);
    return result;
}

int cache_clean(const char *cache, struct error **err)
{
    _cleanup_close_ int unpack = -1;
    _cleanup_free_ char *dir = path_join(cache, "unpack");
    if (cache_try_lock(cache, "unpack", &unpack, err) < 0 || (unpack >= 0 && tree_remove(dir, err) < 0)) {
        return -1;
    }
    return remove_parts(cache, "images", err) < 0 ? -1 : remove_parts(cache, "base", err);
}

struct archive {
    const char *path;
    struct timespec used;
};

/* The last used first. */
static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct archive *)a)->used;
    const struct timespec *y = &((const struct archive *)b)->used;
    return x->tv_sec != y->tv_sec ? (x->tv_sec < y->tv_sec) - (x->tv_sec > y->tv_sec)
                                  : (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

static void remove_base(const char *cache, const char *path)
{
    _cleanup_error_ struct error *why = NULL;
    _cleanup_close_ int lock = -1;
    int result = cache_try_lock(cache, strrchr(path, '/') + 1, &lock, &why);
    if (result == 0 && lock >= 0) {
        result = file_remove(path, NULL, &why);
        log_info("base system %s removed: %d others were used later", path, CACHE_BASES_KEPT);
    }
    if (result < 0) {
        log_warning("%s", why->message);
    }
}

void cache_use_base(const char *cache, const char *archive)
{
    _cleanup_free_ char *pattern = xasprintf("%s/base/*.tar", cache);
    glob_t found = {0};
    (void)utimensat(AT_FDCWD, archive, NULL, 0);
    (void)glob(pattern, 0, NULL, &found);
    _cleanup_free_ struct archive *archives = xcalloc(found.gl_pathc + 1, sizeof *archives);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct stat st = {0};
        (void)stat(found.gl_pathv[i], &st);
        archives[i] = (struct archive){found.gl_pathv[i], st.st_mtim};
    }
    qsort(archives, found.gl_pathc, sizeof *archives, by_use);
    for (size_t i = CACHE_BASES_KEPT; i < found.gl_pathc; i++) {
        if (archives[i].used.tv_sec < time(NULL) - RECENT_S) {
            remove_base(cache, archives[i].path);
        }
    }
    globfree(&found);
}
