#include "bake/root/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "bake/root/hash.h"
#include "lib/core/interrupt.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"

/* The directory of TO, made if need be, and the name under which the new file waits in it. */
static int open_place(struct place *place, const char *to, int *dir, char **temp, struct error **err)
{
    _cleanup_free_ char *parent = path_parent(to);
    *temp = xasprintf(".%s" PLACE_SUFFIX, path_name(to));
    if (root_dir(place->root, parent, &place->made, dir, err) < 0) {
        return -1;
    }
    struct stat st;
    if (fstatat(*dir, path_name(to), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
        return error_new(err, STATUS_FILE, "%s is a directory in the image, not replaced by a file", to);
    }
    (void)unlinkat(*dir, *temp, 0);
    strv_push(&place->paths, to);
    return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        data += n < 0 ? 0 : n;
        len -= n < 0 ? 0 : (size_t)n;
    }
    return 0;
}

static int finish_file(const struct place *place, int fd, mode_t mode)
{
    struct timespec times[2] = {{.tv_sec = place->root->epoch}, {.tv_sec = place->root->epoch}};
    return fchown(fd, 0, 0) < 0 || fchmod(fd, mode) < 0 || futimens(fd, times) < 0 ? -1 : 0;
}

static int copy(int from, int to, struct hash *hash, const char *path, struct error **err)
{
    _cleanup_free_ char *chunk = xcalloc(1, 1 << 18);
    long long done = 0;
    for (;;) {
        ssize_t n = read(from, chunk, 1 << 18);
        if (n == 0) {
            return 0;
        }
        if (n < 0) {
            return error_errno(err, STATUS_FILE, errno, "cannot read what goes to %s", path);
        }
        hash_add(hash, chunk, (size_t)n);
        if (write_all(to, chunk, (size_t)n) < 0) {
            return error_errno(err, STATUS_FILE, errno, "cannot write %s after %lld bytes", path, done);
        }
        done += n;
        if (interrupt_check(err) < 0) {
            return -1;
        }
    }
}

/* The file under its temporary name. */
static int create(struct place *place, const char *to, struct error **err)
{
    _cleanup_close_ int dir = -1;
    _cleanup_free_ char *temp = NULL;
    if (open_place(place, to, &dir, &temp, err) < 0) {
        return -1;
    }
    int out = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot write %s", to);
    }
    place->ready++;
    return out;
}

int place_stream(struct place *place, const char *to, mode_t mode, int fd, const char *sha256, struct error **err)
{
    _cleanup_close_ int out = create(place, to, err);
    if (out < 0) {
        return -1;
    }
    _cleanup_(hash_freep) struct hash *hash = hash_new();
    if (copy(fd, out, hash, to, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *found = hash_end(hash);
    if (sha256 != NULL && strcmp(found, sha256) != 0) {
        return error_new(err, STATUS_CRYPTO, "what was to go to %s has the wrong SHA-256: expected %s, found %s", to,
                         sha256, found);
    }
    if (finish_file(place, out, mode) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot finish %s", to);
    }
    return 0;
}

int place_data(struct place *place, const char *to, mode_t mode, const void *data, size_t len, struct error **err)
{
    _cleanup_close_ int out = create(place, to, err);
    if (out < 0) {
        return -1;
    }
    if (write_all(out, data, len) < 0 || finish_file(place, out, mode) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot write %s", to);
    }
    return 0;
}

int place_link(struct place *place, const char *to, const char *target, struct error **err)
{
    _cleanup_close_ int dir = -1;
    _cleanup_free_ char *temp = NULL;
    if (open_place(place, to, &dir, &temp, err) < 0) {
        return -1;
    }
    if (symlinkat(target, dir, temp) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot make the link %s", to);
    }
    place->ready++;
    struct timespec times[2] = {{.tv_sec = place->root->epoch}, {.tv_sec = place->root->epoch}};
    (void)utimensat(dir, temp, times, AT_SYMLINK_NOFOLLOW);
    return 0;
}

static int no_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* By bytes, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

typedef int visit_fn(void *context, const char *path, const char *inside, const struct stat *st, struct error **err);

/* Visits every file and link below SOURCE; INSIDE is the path relative to it, with a leading slash. */
static int walk(const char *source, const char *inside, visit_fn *visit, void *context, struct error **err)
{
    _cleanup_free_ char *here = path_join(source, inside);
    struct dirent **entries = NULL;
    int n = scandir(here, &entries, no_dots, by_name);
    if (n < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot read the directory %s", here);
    }
    int result = 0;
    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *below = xasprintf("%s/%s", inside, entries[i]->d_name);
        _cleanup_free_ char *path = path_join(source, below);
        struct stat st;
        free(entries[i]);
        if (result < 0) {
            continue;
        }
        if (lstat(path, &st) < 0) {
            result = error_errno(err, STATUS_FILE, errno, "cannot read %s", path);
        } else if (S_ISDIR(st.st_mode)) {
            result = walk(source, below, visit, context, err);
        } else if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) {
            result = visit(context, path, below, &st, err);
        } else {
            result = error_new(err, STATUS_FILE, "%s is neither file, link nor directory", path);
        }
    }
    free((void *)entries);
    return result;
}

static mode_t plain_mode(const struct stat *st)
{
    return (st->st_mode & S_IXUSR) != 0 ? 0755 : 0644;
}

static int read_link(const char *path, char target[PATH_MAX], struct error **err)
{
    ssize_t n = readlink(path, target, PATH_MAX - 1);
    if (n < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot read the link %s", path);
    }
    target[n] = '\0';
    return 0;
}

struct tree {
    struct place *place;
    const char *to;
};

static int place_visit(void *context, const char *path, const char *inside, const struct stat *st, struct error **err)
{
    const struct tree *tree = context;
    _cleanup_free_ char *to = path_join(tree->to, inside);
    if (S_ISLNK(st->st_mode)) {
        char target[PATH_MAX];
        return read_link(path, target, err) < 0 ? -1 : place_link(tree->place, to, target, err);
    }
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot read %s", path);
    }
    return place_stream(tree->place, to, plain_mode(st), fd, NULL, err);
}

int place_tree(struct place *place, const char *to, const char *source, struct error **err)
{
    struct tree tree = {place, to};
    return walk(source, "", place_visit, &tree, err);
}

static int hash_visit(void *context, const char *path, const char *inside, const struct stat *st, struct error **err)
{
    struct hash *hash = context;
    hash_string(hash, inside);
    if (S_ISLNK(st->st_mode)) {
        char target[PATH_MAX];
        if (read_link(path, target, err) < 0) {
            return -1;
        }
        hash_string(hash, "link");
        hash_string(hash, target);
        return 0;
    }
    _cleanup_free_ char *hex = NULL;
    if (sha256_file(path, &hex, err) < 0) {
        return -1;
    }
    hash_string(hash, plain_mode(st) == 0755 ? "program" : "file");
    hash_string(hash, hex);
    return 0;
}

int tree_hash(const char *source, struct hash *hash, struct error **err)
{
    return walk(source, "", hash_visit, hash, err);
}

static int each_temp(const struct place *place, size_t i, int *dir, char **temp, const char **name)
{
    _cleanup_free_ char *parent = path_parent(place->paths[i]);
    *name = path_name(place->paths[i]);
    *dir = root_openat(place->root, parent, O_PATH | O_DIRECTORY);
    *temp = xasprintf(".%s" PLACE_SUFFIX, *name);
    return *dir;
}

int place_commit(struct place *place, struct error **err)
{
    for (size_t i = 0; !place->done && i < place->ready; i++) {
        _cleanup_close_ int dir = -1;
        _cleanup_free_ char *temp = NULL;
        const char *name = NULL;
        if (each_temp(place, i, &dir, &temp, &name) < 0 || renameat(dir, temp, dir, name) < 0) {
            return error_errno(err, STATUS_FILE, errno, "cannot put %s in its place", place->paths[i]);
        }
    }
    place->done = true;
    return 0;
}

void place_rollback(struct place *place)
{
    for (char **path = place->paths; path != NULL && *path != NULL; path++) {
        (void)root_remove(place->root, *path, NULL);
    }
    place->ready = 0;
    place->done = false;
}

void place_end(struct place *place)
{
    for (size_t i = 0; !place->done && i < place->ready; i++) {
        _cleanup_close_ int dir = -1;
        _cleanup_free_ char *temp = NULL;
        const char *name = NULL;
        if (each_temp(place, i, &dir, &temp, &name) >= 0) {
            (void)unlinkat(dir, temp, 0);
        }
    }
    for (size_t n = place->done ? 0 : strv_length(place->made); n > 0; n--) {
        (void)root_remove(place->root, place->made[n - 1], NULL);
    }
    strv_free(place->paths);
    strv_free(place->made);
    *place = (struct place){0};
}
