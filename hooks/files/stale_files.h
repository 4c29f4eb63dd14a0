/* Files of ours below a name that the context no longer has there, of sections whose path holds {{name}}. */
#ifndef HOOKS_FILES_STALE_FILES_H
#define HOOKS_FILES_STALE_FILES_H

#include "hooks/engine/rendered.h"
#include "hooks/engine/role.h"

/* Adds to RENDERED, as not wanted, each file on the machine that such a section may have written (it begins with
 * FILE_MARK) and whose path is not a member of WANTED. */
void stale_files_add(const struct run *run, struct rendered *rendered, const json_t *wanted);

#endif
