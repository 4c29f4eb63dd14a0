/* Files that are never half there: written beside, synced, renamed. */
#ifndef LIB_SYSTEM_FILE_H
#define LIB_SYSTEM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

/* Makes the directory and its parents (those with 0755); sets MODE if it was there with another. */
int dir_make(const char *path, mode_t mode, struct error **err);

/* Makes PATH a symbolic link to TARGET by rename. A directory or file in its place is an error unless an empty
 * directory. */
int link_make(const char *target, const char *path, bool *changed, struct error **err);

/* The target of the symbolic link PATH; NULL (errno is set) when PATH is none. The caller frees. */
char *link_read(const char *path);

/* Whether PATH is a symbolic link to TARGET. */
bool link_is(const char *path, const char *target);

struct file_spec {
    const char *path;
    const void *data;
    size_t len;
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

/* 1: PATH holds exactly this content, mode and owner. 0: not. */
int file_same(const struct file_spec *spec, struct error **err);

/* Makes it so; parents are made. *changed (may be NULL) is true when anything had to be. */
int file_put(const struct file_spec *spec, bool *changed, struct error **err);

/* The same for a text that this user alone may read: mode 0600. */
int file_put_private(const char *path, const char *text, struct error **err);

/* Puts the file FROM, which another program wrote, in the place of PATH in the same directory, with MODE; the content
 * is on the disk before the name is. STATUS_FILE. */
int file_replace(const char *path, const char *from, mode_t mode, struct error **err);

/* Opens PATH for reading, never waiting: -1 with errno, which is EISDIR for a directory, and EMEDIUMTYPE for a FIFO or
 * a socket in the place of a file. FLAGS are added to those of open. */
int file_open(const char *path, int flags);

/* The same as a stream; NULL with errno. */
FILE *file_stream(const char *path);

/* Reads up to LIMIT bytes (0: 64 MiB), NUL-terminated. The caller frees *data. errno is kept: ENOENT means absence; see
 * file_open. */
int file_read(const char *path, size_t limit, char **data, size_t *len, struct error **err);

/* The same for what a user names on the command line, which may be a pipe. */
int file_read_input(const char *path, size_t limit, char **data, size_t *len, struct error **err);

/* Reads a file that holds JSON; *json is a new reference. errno is kept as by file_read; 0 when the text is not JSON.
 */
int file_read_json(const char *path, json_t **json, struct error **err);

/* Removes the file or link; absent is fine. */
int file_remove(const char *path, bool *changed, struct error **err);

/* A unified diff of two texts (either may be NULL: absent), as `diff -u` prints it. The caller frees; NULL when equal.
 */
char *text_diff(const char *path, const char *before, const char *after);

/* ROOT + "/" + PATH with exactly one slash between; ROOT may be NULL or "/". The caller frees. */
char *path_join(const char *root, const char *path);

#endif
