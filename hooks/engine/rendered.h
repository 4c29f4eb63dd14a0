/* What hooks/files/files.h has rendered. */
#ifndef HOOKS_ENGINE_RENDERED_H
#define HOOKS_ENGINE_RENDERED_H

#include "hooks/engine/role_conf.h"
#include "lib/system/file.h"

struct rendered_file {
    const struct file_conf *conf;
    char *path;            /* under --root */
    bool wanted;           /* false: must not be there */
    bool differs;          /* by files_compare: other than on the machine */
    struct buffer content; /* wiped when freed */
};

struct rendered {
    struct role_conf *conf;
    struct rendered_file *files;
    size_t n_files;
};

void rendered_free(struct rendered *rendered);
void rendered_freep(struct rendered **rendered);

#endif
