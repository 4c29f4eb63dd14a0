/* The role's files: all rendered before any is written, and each written only when it differs. */
#ifndef HOOKS_FILES_FILES_H
#define HOOKS_FILES_FILES_H

#include "hooks/engine/rendered.h"
#include "hooks/engine/role.h"

/* What templates and the `when` of roles/ROLE.conf see: the facts and the metadata servers. A new reference, with
 * secrets. */
json_t *files_context(const struct run *run);

/* run->rendered from run->facts, strictly. STATUS_CONFIG, STATUS_TEMPLATE, STATUS_FILE (a template cannot be read). */
int files_render(struct run *run, struct error **err);

/* Renders, sets .differs of each file and *changed (may be NULL) to their number. */
int files_compare(struct run *run, size_t *changed, struct error **err);

/* Writes what differs, removes what is not wanted, and logs each path it changes. */
int files_write(struct run *run, struct error **err);

/* Callbacks of the step that brings the role's files. Of secret files a preview shows only that they change. */
int files_done(struct run *run, struct error **err);
int files_apply(struct run *run, struct error **err);
int files_preview(struct run *run, struct error **err);

/* To stdout, as a unified diff (either text may be NULL: absent); of a secret only that it changes. */
void print_difference(const char *name, const char *before, const char *after, bool secret);

/* Whether files_apply ran to its end on this system disk: before that, `reload` has nothing to keep up to date. */
bool files_there(const struct run *run);

#endif
