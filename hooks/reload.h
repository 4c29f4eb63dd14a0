/* What is done when a file of the role changed: the actions that `on-change` of roles/ *.conf can name. */
#ifndef HOOKS_RELOAD_H
#define HOOKS_RELOAD_H

#include "hooks/role.h"

struct reload_action {
    const char *name;
    /* May run at any time, also where what it is about has not been started: then it does nothing. Safe to run again.
     */
    int (*apply)(struct run *run, struct error **err);
};

/* In the order in which they are done, ended by one without a name. */
extern const struct reload_action reload_actions[];

/* Writes the files that differ and does what each names, once, in the order of ACTIONS. What is to be done is recorded
 * in the state directory before the files are written, so that a killed or failed reload is taken up by the next. */
int reload(struct run *run, const struct reload_action *actions, struct error **err);

bool reload_action_known(const char *name);

#endif
