/* Bringing a backup back. */
#ifndef HOOKS_STEPS_CONTROL_PLANE_RESTORE_H
#define HOOKS_STEPS_CONTROL_PLANE_RESTORE_H

#include "hooks/engine/role.h"

/* Whether the backup that is being restored was made in another cluster, whose machines were others. */
int backup_is_foreign(const struct run *run, bool *foreign, struct error **err);

#endif
