/* The image's root file system as a directory. Every path is resolved as if that directory were "/": a link in the
 * image, absolute or not, never leads out of it (openat2(2), RESOLVE_IN_ROOT). */
#ifndef BAKE_ROOT_ROOTFS_H
#define BAKE_ROOT_ROOTFS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

struct root {
    char *path;
    int fd;
    long epoch; /* modification time of all that is put in */
};

int root_open(struct root *root, const char *path, long epoch, struct error **err);
void root_close(struct root *root);
#define _cleanup_root_ _cleanup_(root_close)

/* The directory part of an absolute path (the caller frees) and the last name in it. */
char *path_parent(const char *path);
const char *path_name(const char *path);

/* Opens PATH inside with FLAGS; -1 with errno. */
int root_openat(const struct root *root, const char *path, int flags);

/* A descriptor (O_PATH) of the directory PATH; with MADE not NULL it is made with its parents (0755), each new one's
 * path added to *made. */
int root_dir(const struct root *root, const char *path, char ***made, int *fd, struct error **err);

/* lstat inside: true when there is something at PATH. */
bool root_exists(const struct root *root, const char *path, struct stat *st);

/* Removes the file or link, or the directory when it is empty; absent is fine. */
int root_remove(const struct root *root, const char *path, struct error **err);

/* Removes PATH and all below it. */
int root_remove_tree(const struct root *root, const char *path, struct error **err);

/* Reads a small file inside; NULL and errno when it cannot. The caller frees. */
char *root_read(const struct root *root, const char *path, size_t *len);

/* Runs ARGV inside (chroot); for "/" straight. OUTPUT NULL: not kept; else what it printed, freed by the caller. */
int root_run(const struct root *root, const char *const *argv, char **output, struct error **err);

#endif
