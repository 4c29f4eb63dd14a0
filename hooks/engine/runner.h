/* Walks a table of steps: what is done is skipped, each is timed and logged, the first error stops it. */
#ifndef HOOKS_ENGINE_RUNNER_H
#define HOOKS_ENGINE_RUNNER_H

#include "hooks/engine/role.h"

/* The steps of the run's event in its role ("NAME --check" when only its pre-check is asked for); NULL when it has
 * none. */
const struct step *const *role_steps(const struct role *role, const char *event, bool check_only);

/* Records the run in the state directory step by step (hooks/engine/history.h), so that `status` can tell where a
 * killed run was. With --dry-run nothing is applied: prints each step and what it would do. */
int steps_run(struct run *run, const struct step *const *steps, struct error **err);

#endif
