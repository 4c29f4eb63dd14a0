/* What was applied of each add-on: addons/NAME.yaml in the master's state directory, 0600. A change is shown as the
 * difference to it, so that showing it takes neither the cluster nor its secrets. */
#ifndef HOOKS_ADDONS_ADDONS_FILES_H
#define HOOKS_ADDONS_ADDONS_FILES_H

#include "hooks/addons/addons_render.h"
#include "hooks/engine/role.h"

/* Whether add-on NAME has a manifest among these files, as it has while it is on. Of the master alone. */
bool addon_file_there(const struct run *run, const char *name);
bool addon_file_same(const struct run *run, const struct rendered_addon *addon);
/* *changed (may be NULL) is true when anything had to be. */
int addon_file_write(const struct run *run, const struct rendered_addon *addon, bool *changed, struct error **err);
int addon_file_remove(const struct run *run, const char *name, struct error **err);

/* What `render` shows and writes of them: as addons_render with the context of run->facts; none at all where this role
 * or hook.conf has no add-ons. */
int addons_files_render(const struct run *run, bool off_machine, struct rendered_addons *addons, struct error **err);
/* Prints the difference of each object that changes, of a Secret only that it does. *changed is the number of files. */
int addons_files_preview(const struct run *run, const struct rendered_addons *addons, size_t *changed,
                         struct error **err);
int addons_files_write(const struct run *run, const struct rendered_addons *addons, size_t *changed,
                       struct error **err);

#endif
