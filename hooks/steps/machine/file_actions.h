/* What is done when a file of the role changed: the actions that `on-change` of roles/ *.conf can name. */
#ifndef HOOKS_STEPS_MACHINE_FILE_ACTIONS_H
#define HOOKS_STEPS_MACHINE_FILE_ACTIONS_H

#include "hooks/engine/role.h"

struct reload_action {
    const char *name;
    bool cluster; /* changes the cluster: deferred to `start` while this host's API server is down */
    /* May run at any time, also where what it is about has not been started: then it does nothing. Safe to run again.
     */
    int (*apply)(struct run *run, struct error **err);
    /* 1 when it is due although no file changed; 0 when not. NULL: only files count. */
    int (*due)(struct run *run, struct error **err);
    /* For --dry-run and --diff: prints to stdout what it would change beside files. NULL: nothing to print. */
    int (*preview)(struct run *run, struct error **err);
};

/* In the order in which they are done, the last has no name. */
extern const struct reload_action reload_actions[];

/* Writes the files that differ and does what each names, once, in the order of ACTIONS. What is to be done is recorded
 * in the state directory before the files are written, so that a killed or failed reload is taken up by the next. */
int reload(struct run *run, const struct reload_action *actions, struct error **err);

/* The same for a step in the middle of an event: what concerns the cluster stays recorded for reload_settle. On a
 * system that has no files yet nothing runs with old ones, so nothing else is done. */
int reload_files(struct run *run, const struct reload_action *actions, struct error **err);

/* Does all that is recorded. */
int reload_settle(struct run *run, const struct reload_action *actions, struct error **err);

/* 1 when `reload` would do anything: a file differs, an action is recorded, or one is due although no file changed. */
int reload_due(struct run *run, const struct reload_action *actions, struct error **err);

/* 1 when something is recorded, with LOCAL only what does not concern the cluster; 0 when not. */
int reload_owed(const struct run *run, const struct reload_action *actions, bool local, struct error **err);

#endif
