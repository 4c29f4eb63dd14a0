#include "lib/system/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/core/util.h"

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int remove_below(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return ftw->level == 0 ? 0 : remove_entry(path, st, type, ftw);
}

static int walk(const char *path, __nftw_func_t visit, struct error **err)
{
    if (nftw(path, visit, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT) {
        return error_errno(err, STATUS_FILE, errno, "cannot remove %s", path);
    }
    return 0;
}

int tree_remove(const char *path, struct error **err)
{
    return walk(path, remove_entry, err);
}

int tree_empty(const char *path, struct error **err)
{
    return walk(path, remove_below, err);
}

int tree_sync(const char *path, struct error **err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot sync %s", path);
    }
    return 0;
}
