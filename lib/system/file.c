#include "lib/system/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_LIMIT (64UL << 20)

char *path_join(const char *root, const char *path)
{
    size_t len = root == NULL ? 0 : strlen(root);
    while (len > 0 && root[len - 1] == '/') {
        len--;
    }
    path += strspn(path, "/");
    return xasprintf("%.*s/%s", (int)len, len == 0 ? "" : root, path);
}

/* The directory PATH lies in: "." for a bare name. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return xstrdup(".");
    }
    return xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* Where PATH is written before it is renamed. Always the same name, so that what a killed writer left is used again. */
static char *path_beside(const char *path)
{
    _cleanup_free_ char *parent = parent_of(path);
    _cleanup_free_ char *name = xasprintf(".%s.new", name_of(path));
    return strcmp(parent, ".") == 0 ? xstrdup(name) : path_join(parent, name);
}

/* After a name was made, replaced or removed: the name itself must outlive a power cut. */
static int sync_parent(const char *path, struct error **err)
{
    _cleanup_free_ char *parent = parent_of(path);
    _cleanup_close_ int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot write the directory %s to disk", parent);
    }
    return 0;
}

/* Fine where it is there already. */
static int make_directory(const char *path, mode_t mode, struct error **err)
{
    if (mkdir(path, mode) == 0) {
        /* the umask of whoever runs this must not decide who can read it */
        if (chmod(path, mode) < 0) {
            return error_errno(err, STATUS_FILE, errno, "cannot set the mode of %s", path);
        }
        return sync_parent(path, err);
    }
    return errno == EEXIST ? 0 : error_errno(err, STATUS_FILE, errno, "cannot make the directory %s", path);
}

static int make_parents(const char *path, struct error **err)
{
    _cleanup_free_ char *parent = parent_of(path);
    struct stat st;
    if (stat(parent, &st) == 0) {
        return S_ISDIR(st.st_mode) ? 0 : error_errno(err, STATUS_FILE, ENOTDIR, "cannot use %s as a directory", parent);
    }
    if (errno != ENOENT) {
        return error_errno(err, STATUS_FILE, errno, "cannot inspect %s", parent);
    }
    return make_parents(parent, err) < 0 ? -1 : make_directory(parent, 0755, err);
}

int dir_make(const char *path, mode_t mode, struct error **err)
{
    if (make_parents(path, err) < 0) {
        return -1;
    }
    if (make_directory(path, mode, err) < 0) {
        return -1;
    }
    struct stat st;
    if (stat(path, &st) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot inspect the directory %s", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return error_errno(err, STATUS_FILE, ENOTDIR, "cannot make the directory %s", path);
    }
    if ((st.st_mode & 07777) != mode && chmod(path, mode) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot set the mode of %s", path);
    }
    return 0;
}

char *link_read(const char *path)
{
    char target[PATH_MAX];
    ssize_t len = readlink(path, target, sizeof target);
    return len <= 0 || (size_t)len >= sizeof target ? NULL : xstrndup(target, (size_t)len);
}

bool link_is(const char *path, const char *target)
{
    _cleanup_free_ char *now = link_read(path);
    return now != NULL && strcmp(now, target) == 0;
}

int link_make(const char *target, const char *path, bool *changed, struct error **err)
{
    if (changed != NULL) {
        *changed = false;
    }
    struct stat st;
    bool there = lstat(path, &st) == 0;
    if (there && S_ISLNK(st.st_mode)) {
        if (link_is(path, target)) {
            return 0;
        }
    } else if (there && S_ISDIR(st.st_mode)) {
        if (rmdir(path) < 0) {
            return error_errno(err, STATUS_FILE, errno, "cannot put a link to %s in the place of the directory %s",
                               target, path);
        }
    } else if (there) {
        return error_new(err, STATUS_FILE, "cannot make %s a link to %s: a file is there; move it away", path, target);
    }
    if (make_parents(path, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *beside = path_beside(path);
    if (unlink(beside) < 0 && errno != ENOENT) {
        return error_errno(err, STATUS_FILE, errno, "cannot remove %s", beside);
    }
    if (symlink(target, beside) < 0 || rename(beside, path) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot make %s a link to %s", path, target);
    }
    if (changed != NULL) {
        *changed = true;
    }
    return sync_parent(path, err);
}

static bool owner_same(const struct stat *st, const struct file_spec *spec)
{
    return (spec->uid == (uid_t)-1 || spec->uid == st->st_uid) && (spec->gid == (gid_t)-1 || spec->gid == st->st_gid);
}

/* 1 when what FD gives is DATA and nothing more, 0 when not, -1 with errno. */
static int content_same(int fd, const char *data, size_t len)
{
    char piece[65536];
    for (size_t at = 0;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -1 : at == len;
        }
        if ((size_t)n > len - at || memcmp(piece, data + at, (size_t)n) != 0) {
            return 0;
        }
        at += (size_t)n;
    }
}

int file_same(const struct file_spec *spec, struct error **err)
{
    struct stat st;
    if (lstat(spec->path, &st) < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : error_errno(err, STATUS_FILE, errno, "cannot inspect %s", spec->path);
    }
    if (!S_ISREG(st.st_mode) || (st.st_mode & 07777) != spec->mode || !owner_same(&st, spec) ||
        (size_t)st.st_size != spec->len) {
        return 0;
    }
    _cleanup_close_ int fd = open(spec->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int same = fd < 0 ? -1 : content_same(fd, spec->data, spec->len);
    return same < 0 ? error_errno(err, STATUS_FILE, errno, "cannot read %s", spec->path) : same;
}

static bool is_ours(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_nlink == 1 && st->st_uid == geteuid();
}

/* Opens and locks the file beside. One that is not an ordinary file of our own is replaced; one that another writer
 * renamed while we waited for its lock is left to it. */
static int open_beside(const char *beside, struct error **err)
{
    for (;;) {
        struct stat mine;
        struct stat named;
        int fd = open(beside, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        if (fd < 0 && errno != ELOOP && errno != ENXIO) {
            return error_errno(err, STATUS_FILE, errno, "cannot write %s", beside);
        }
        bool locked = fd >= 0 && flock(fd, LOCK_EX) == 0 && fstat(fd, &mine) == 0;
        bool still_named =
            locked && lstat(beside, &named) == 0 && named.st_ino == mine.st_ino && named.st_dev == mine.st_dev;
        if (still_named && is_ours(&mine)) {
            return fd;
        }
        int why = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        if (fd >= 0 && !locked) {
            return error_errno(err, STATUS_FILE, why, "cannot lock %s", beside);
        }
        if ((fd < 0 || still_named) && unlink(beside) < 0 && errno != ENOENT) {
            return error_errno(err, STATUS_FILE, errno, "cannot remove %s", beside);
        }
    }
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* Owner before mode: chown drops set-id bits. Nobody else can read it before both are set. */
static int fill(int fd, const struct file_spec *spec)
{
    if (fchmod(fd, 0600) < 0 || ftruncate(fd, 0) < 0 || write_all(fd, spec->data, spec->len) < 0) {
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) < 0 || (!owner_same(&st, spec) && fchown(fd, spec->uid, spec->gid) < 0)) {
        return -1;
    }
    return fchmod(fd, spec->mode) < 0 || fsync(fd) < 0 ? -1 : 0;
}

int file_put(const struct file_spec *spec, bool *changed, struct error **err)
{
    if (changed != NULL) {
        *changed = false;
    }
    int same = file_same(spec, err);
    if (same != 0) {
        return same < 0 ? -1 : 0;
    }
    if (make_parents(spec->path, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *beside = path_beside(spec->path);
    _cleanup_close_ int fd = open_beside(beside, err);
    if (fd < 0) {
        return -1;
    }
    if (fill(fd, spec) < 0 || rename(beside, spec->path) < 0) {
        int why = errno;
        (void)unlink(beside);
        return error_errno(err, STATUS_FILE, why, "cannot write %s", spec->path);
    }
    if (changed != NULL) {
        *changed = true;
    }
    return sync_parent(spec->path, err);
}

int file_replace(const char *path, const char *from, mode_t mode, struct error **err)
{
    _cleanup_close_ int fd = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(from, path) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot put %s in the place of %s", from, path);
    }
    return sync_parent(path, err);
}

/* -1 with errno; EFBIG past the limit. */
static int read_all(int fd, size_t limit, struct buffer *data)
{
    char piece[65536];
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && (size_t)st.st_size <= limit) {
        data->size = (size_t)st.st_size + 1;
        data->data = xcalloc(1, data->size);
    }
    buffer_append(data, "", 0);
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return (int)n;
        }
        if ((size_t)n > limit - data->len) {
            errno = EFBIG;
            return -1;
        }
        buffer_append(data, piece, (size_t)n);
    }
}

int file_put_private(const char *path, const char *text, struct error **err)
{
    const struct file_spec spec = {
        .path = path, .data = text, .len = strlen(text), .mode = 0600, .uid = geteuid(), .gid = getegid()};
    return file_put(&spec, NULL, err);
}

int file_open(const char *path, int flags)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);
    if (fd < 0 || fstat(fd, &st) < 0) {
        return -1;
    }
    if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) { /* /dev/null is fine */
        errno = S_ISDIR(st.st_mode) ? EISDIR : EMEDIUMTYPE;
        return -1;
    }
    return steal_fd(&fd);
}

FILE *file_stream(const char *path)
{
    _cleanup_close_ int fd = file_open(path, 0);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
    if (stream != NULL) {
        (void)steal_fd(&fd);
    }
    return stream;
}

static int read_and_close(int open_fd, const char *path, size_t limit, char **data, size_t *len, struct error **err)
{
    limit = limit == 0 ? READ_LIMIT : limit;
    _cleanup_buffer_ struct buffer b = {0};
    _cleanup_close_ int fd = open_fd;
    if (fd < 0 || read_all(fd, limit, &b) < 0) {
        int why = errno;
        if (why == EFBIG) {
            (void)error_new(err, STATUS_FILE, "cannot read %s: it has more than %zu bytes", path, limit);
        } else if (why == EMEDIUMTYPE) {
            (void)error_new(err, STATUS_FILE, "cannot read %s: a FIFO or socket, not a file", path);
        } else {
            (void)error_errno(err, STATUS_FILE, why, "cannot read %s", path);
        }
        errno = why;
        return -1;
    }
    if (len != NULL) {
        *len = b.len;
    }
    *data = STEAL(b.data);
    return 0;
}

int file_read(const char *path, size_t limit, char **data, size_t *len, struct error **err)
{
    return read_and_close(file_open(path, 0), path, limit, data, len, err);
}

int file_read_input(const char *path, size_t limit, char **data, size_t *len, struct error **err)
{
    return read_and_close(open(path, O_RDONLY | O_CLOEXEC), path, limit, data, len, err);
}

int file_read_json(const char *path, json_t **json, struct error **err)
{
    json_error_t why;
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    if (file_read(path, 0, &text, &len, err) < 0) {
        return -1;
    }
    *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    errno = 0;
    return *json != NULL
               ? 0
               : error_new(err, STATUS_FILE, "%s:%d:%d is not JSON: %s", path, why.line, why.column, why.text);
}

int file_remove(const char *path, bool *changed, struct error **err)
{
    bool removed = unlink(path) == 0;
    if (!removed && errno != ENOENT && errno != ENOTDIR) {
        return error_errno(err, STATUS_FILE, errno, "cannot remove %s", path);
    }
    if (changed != NULL) {
        *changed = removed;
    }
    return removed ? sync_parent(path, err) : 0;
}
