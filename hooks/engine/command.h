/* The table of events: what each needs before it may run, and what runs it. */
#ifndef HOOKS_ENGINE_COMMAND_H
#define HOOKS_ENGINE_COMMAND_H

#include "hooks/engine/role.h"
#include "hooks/engine/run.h"

struct command {
    const char *name;
    const char *argument; /* for --help: NULL when it takes none, "[X]" when it may be left out */
    const char *summary;
    enum metadata_source source;
    bool changes;                                    /* takes the lock: one such event at a time on a host */
    int deadline_s;                                  /* the whole event, unless hook.conf sets timeouts.event */
    int (*run)(struct run *run, struct error **err); /* NULL: the steps of the role's table */
};

/* Ended by one without a name. */
extern const struct command commands[];

/* The command called NAME if ROLE has it, else NULL. */
const struct command *command_find(const struct role *role, const char *name);

#endif
