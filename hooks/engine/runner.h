/* Walks a table of steps: what is done is skipped, each is timed and logged, the first error stops it. */
#ifndef HOOKS_ENGINE_RUNNER_H
#define HOOKS_ENGINE_RUNNER_H

#include "hooks/engine/role.h"

/* The event NAME of ROLE ("NAME --check" when only its pre-check is requested); NULL when it has none. */
const struct event *role_event(const struct role *role, const char *name, bool check_only);

/* The steps of the event NAME of ROLE; NULL when it has none. */
const struct step *const *role_steps(const struct role *role, const char *name);

/* One step: applied unless it is done already. 1: was done; 0: applied; -1: failed, also when a signal requested a stop
 * or the event's deadline passed before it. The error begins with the step's name. */
int step_run(struct run *run, const struct step *step, struct error **err);

/* Records the run in the state directory step by step (hooks/engine/history.h), so that `status` shows where a
 * killed run was. With --dry-run nothing is applied: prints each step and what it would do. */
int steps_run(struct run *run, const struct step *const *steps, struct error **err);

#endif
