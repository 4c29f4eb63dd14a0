/* The role's files: all rendered before any is written, and each written only when it differs. */
#ifndef HOOKS_FILES_H
#define HOOKS_FILES_H

#include "hooks/role.h"
#include "hooks/role_conf.h"
#include "lib/file.h"

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

/* run->rendered from run->facts, strictly. STATUS_CONFIG, STATUS_TEMPLATE, STATUS_FILE (a template cannot be read). */
int files_render(struct run *run, struct error **err);
void rendered_free(struct rendered *rendered);
void rendered_freep(struct rendered **rendered);

/* Renders, sets .differs of each file and *changed (may be NULL) to their number. */
int files_compare(struct run *run, size_t *changed, struct error **err);

/* Writes what differs, removes what is not wanted, and logs each path it changes. */
int files_write(struct run *run, struct error **err);

/* Callbacks of the step that brings the role's files. Secret files are only said to change in a preview. */
int files_done(struct run *run, struct error **err);
int files_apply(struct run *run, struct error **err);
int files_preview(struct run *run, struct error **err);

/* To stdout, as a unified diff (either text may be NULL: absent); of a secret only that it changes. */
void print_difference(const char *name, const char *before, const char *after, bool secret);

/* Whether files_apply ran to its end on this system disk: before that, `reload` has nothing to keep up to date. */
bool files_there(const struct run *run);

#endif
