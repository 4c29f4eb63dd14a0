/* One changing event at a time on a host. */
#ifndef HOOKS_ENGINE_LOCK_H
#define HOOKS_ENGINE_LOCK_H

#include "app/status.h"
#include "hooks/engine/role.h"

/* Locks the state directory itself, which needs no write: /data may be full or read-only. Held until the process ends.
 * Another holder is waited for until DEADLINE, then STATUS_LOCKED which names it: its event and pid, from <state>/lock.
 * *fd is the lock; *waited is set when another held it. */
int lock_take(const struct run *run, struct deadline deadline, int *fd, bool *waited, struct error **err);

#endif
