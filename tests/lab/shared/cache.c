#include "tests/lab/shared/cache.h"

#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

#define KEPT 3

void cache_use(const char *path)
{
    (void)utimensat(AT_FDCWD, path, NULL, 0);
}

/* A lab is there as long as its state is; what it boots from stands in that. */
static bool in_use(const char *path, const char *labs)
{
    glob_t found = {0};
    _cleanup_free_ char *quoted = xasprintf("\"%s\"", path);
    bool used = false;
    (void)glob(labs, 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc && !used; i++) {
        _cleanup_free_ char *state = NULL;
        size_t len = 0;
        used = file_read(found.gl_pathv[i], 0, &state, &len, NULL) == 0 && strstr(state, quoted) != NULL;
    }
    globfree(&found);
    return used;
}

struct entry {
    char *path;
    struct timespec used;
};

/* The last used first. */
static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->used;
    const struct timespec *y = &((const struct entry *)b)->used;
    return x->tv_sec != y->tv_sec ? (x->tv_sec < y->tv_sec) - (x->tv_sec > y->tv_sec)
                                  : (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

static int remove_entry(const char *path, struct error **err)
{
    _cleanup_free_ char *complete = xasprintf("%s.complete", path);
    _cleanup_free_ char *log = xasprintf("%s.log", path);
    return file_remove(complete, NULL, err) < 0 || tree_remove(path, err) < 0 ? -1 : file_remove(log, NULL, err);
}

/* Keeps the KEPT directories PATTERN that were used last, by the time of DIRECTORY + MARK, and those in use. */
static int prune(const char *pattern, const char *mark, const char *labs, struct error **err)
{
    glob_t found = {0};
    (void)glob(pattern, GLOB_ONLYDIR, NULL, &found);
    _cleanup_free_ struct entry *entries = xcalloc(found.gl_pathc + 1, sizeof *entries);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct stat st = {0};
        _cleanup_free_ char *marked = xasprintf("%s%s", found.gl_pathv[i], mark);
        (void)stat(marked, &st); /* one that was never finished is the oldest */
        entries[i] = (struct entry){found.gl_pathv[i], st.st_mtim};
    }
    qsort(entries, found.gl_pathc, sizeof *entries, by_use);
    int r = 0;
    for (size_t i = KEPT; i < found.gl_pathc && r == 0; i++) {
        r = in_use(entries[i].path, labs) ? 0 : remove_entry(entries[i].path, err);
    }
    globfree(&found);
    return r;
}

int cache_prune(const char *cache, const char *labs, struct error **err)
{
    _cleanup_free_ char *images = xasprintf("%s/image-*", cache);
    _cleanup_free_ char *containers = xasprintf("%s/images-*", cache);
    return prune(images, ".complete", labs, err) < 0 ? -1 : prune(containers, "", labs, err);
}
