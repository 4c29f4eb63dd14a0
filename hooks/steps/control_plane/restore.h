/* Bringing a backup back. */
#ifndef HOOKS_STEPS_CONTROL_PLANE_RESTORE_H
#define HOOKS_STEPS_CONTROL_PLANE_RESTORE_H

#include "hooks/engine/role.h"

/* Whether the backup that is being restored was made in another cluster, whose machines were others. */
int restored_from_elsewhere(const struct run *run, bool *elsewhere, struct error **err);

#endif
