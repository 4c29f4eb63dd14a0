#include "bake/root/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/system/proc.h"

#define RUN_DEADLINE_MS (30L * 60 * 1000)

int root_open(struct root *root, const char *path, long epoch, struct error **err)
{
    *root = (struct root){.path = realpath(path, NULL), .fd = -1, .epoch = epoch};
    if (root->path == NULL) {
        return error_errno(err, STATUS_FILE, errno, "cannot open the root %s", path);
    }
    root->fd = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root->fd < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot open the root %s", path);
    }
    return 0;
}

void root_close(struct root *root)
{
    util_closep(&root->fd);
    free(root->path);
    *root = (struct root){.fd = -1};
}

int root_openat(const struct root *root, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned long long)(unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};
    return (int)syscall(SYS_openat2, root->fd, path, &how, sizeof how);
}

char *path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL || slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

int root_dir(const struct root *root, const char *path, char ***made, int *fd, struct error **err)
{
    *fd = root_openat(root, path, O_PATH | O_DIRECTORY);
    if (*fd >= 0) {
        return 0;
    }
    if (errno != ENOENT || made == NULL || strcmp(path, "/") == 0) {
        return error_errno(err, STATUS_FILE, errno, "%s: cannot open the directory %s", root->path, path);
    }
    _cleanup_close_ int up = -1;
    _cleanup_free_ char *parent = path_parent(path);
    if (root_dir(root, parent, made, &up, err) < 0) {
        return -1;
    }
    if (path_name(path)[0] != '\0') {
        if (mkdirat(up, path_name(path), 0755) < 0) {
            return error_errno(err, STATUS_FILE, errno, "%s: cannot make the directory %s", root->path, path);
        }
        strv_push(made, path);
    }
    *fd = root_openat(root, path, O_PATH | O_DIRECTORY);
    return *fd >= 0 ? 0 : error_errno(err, STATUS_FILE, errno, "%s: cannot open the directory %s", root->path, path);
}

bool root_exists(const struct root *root, const char *path, struct stat *st)
{
    struct stat own;
    _cleanup_close_ int fd = root_openat(root, path, O_PATH | O_NOFOLLOW);
    return fd >= 0 && fstat(fd, st == NULL ? &own : st) == 0;
}

int root_remove(const struct root *root, const char *path, struct error **err)
{
    _cleanup_free_ char *parent = path_parent(path);
    _cleanup_close_ int up = root_openat(root, parent, O_PATH | O_DIRECTORY);
    if (up < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return 0;
    }
    if (up >= 0 && (unlinkat(up, path_name(path), 0) == 0 || errno == ENOENT)) {
        return 0;
    }
    if (up >= 0 && errno == EISDIR && (unlinkat(up, path_name(path), AT_REMOVEDIR) == 0 || errno == ENOTEMPTY)) {
        return 0;
    }
    return error_errno(err, STATUS_FILE, errno, "%s: cannot remove %s", root->path, path);
}

static int remove_below(int up, const char *name)
{
    if (unlinkat(up, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR) {
        return -1;
    }
    int fd = openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        util_closep(&fd);
        return -1;
    }
    int result = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL && result == 0; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = remove_below(fd, entry->d_name);
        }
    }
    int saved = errno;
    closedir(dir);
    errno = saved;
    return result < 0 ? -1 : unlinkat(up, name, AT_REMOVEDIR);
}

int root_remove_tree(const struct root *root, const char *path, struct error **err)
{
    _cleanup_free_ char *parent = path_parent(path);
    _cleanup_close_ int up = root_openat(root, parent, O_PATH | O_DIRECTORY);
    if (up < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return 0;
    }
    if (up < 0 || remove_below(up, path_name(path)) < 0) {
        return error_errno(err, STATUS_FILE, errno, "%s: cannot remove %s", root->path, path);
    }
    return 0;
}

char *root_read(const struct root *root, const char *path, size_t *len)
{
    _cleanup_close_ int fd = root_openat(root, path, O_RDONLY);
    if (fd < 0) {
        return NULL;
    }
    struct buffer b = {0};
    char chunk[16384];
    ssize_t n = 0;
    buffer_append(&b, "", 0);
    while ((n = read(fd, chunk, sizeof chunk)) > 0 && b.len < (64UL << 20)) {
        buffer_append(&b, chunk, (size_t)n);
    }
    if (n != 0) {
        buffer_free(&b);
        return NULL;
    }
    if (len != NULL) {
        *len = b.len;
    }
    return b.data;
}

int root_run(const struct root *root, const char *const *argv, char **output, struct error **err)
{
    size_t n = 0;
    while (argv[n] != NULL) {
        n++;
    }
    _cleanup_free_ const char **inside = xcalloc(n + 3, sizeof *inside);
    inside[0] = "chroot";
    inside[1] = root->path;
    memcpy((void *)(inside + 2), (const void *)argv, n * sizeof *argv);
    _cleanup_free_ char *epoch = xasprintf("SOURCE_DATE_EPOCH=%ld", root->epoch);
    const char *environment[] = {epoch, "DEBIAN_FRONTEND=noninteractive", NULL};
    struct proc proc = {
        .argv = strcmp(root->path, "/") == 0 ? argv : inside,
        .environment = environment,
        .keep_output = output != NULL,
        .deadline = deadline_in(RUN_DEADLINE_MS),
    };
    _cleanup_proc_ struct proc_result result = {0};
    if (proc_run(&proc, &result, err) < 0) {
        return -1;
    }
    if (output != NULL) {
        *output = STEAL(result.output);
    }
    return 0;
}
