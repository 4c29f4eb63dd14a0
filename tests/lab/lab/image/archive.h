/* Container images as `docker load` takes them, made from files: one layer, the same bytes for the same input. The
 * format: github.com/moby/moby, image/spec/v1.2.md ("Combined Image JSON + Filesystem Changeset Format"). */
#ifndef LAB_ARCHIVE_H
#define LAB_ARCHIVE_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

struct archive_file {
    char *path;   /* in the image, without the leading slash */
    char *source; /* file to take; NULL: a link */
    char *target; /* of a symbolic link; NULL: a file or, without source too, a directory */
};

struct archive_image {
    const char *reference;  /* "k8s.gcr.io/pause:3.2" */
    const char *entrypoint; /* its words with blanks between; NULL: none */
    struct archive_file *files;
    size_t n_files;
};

void archive_add(struct archive_image *image, const char *path, const char *source, const char *target);
void archive_free(struct archive_image *image);

/* Writes the archive at PATH (beside, then renamed). */
int archive_write(const struct archive_image *image, const char *path, struct error **err);

#endif
