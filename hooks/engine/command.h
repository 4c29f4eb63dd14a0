/* What each event needs before it may run, whatever the role. What runs it is in the role's own list. */
#ifndef HOOKS_ENGINE_COMMAND_H
#define HOOKS_ENGINE_COMMAND_H

#include "hooks/engine/role.h"
#include "hooks/engine/run.h"

enum {
    CHANGES = 1, /* takes the lock: one such event at a time on a host */
    DRY_RUN = 2, /* supports --dry-run; refused for what changes something and does not */
    MACHINE = 4, /* changes the running machine: under --root only with --dry-run */
    NO_ROOT = 8, /* is about the running machine alone: refused under --root */
};

struct command {
    const char *name;
    const char *argument; /* for --help: NULL when it takes none, "[X]" when it may be left out */
    const char *summary;
    enum metadata_source source;
    int flags;
    int deadline_s; /* the whole event, unless hook.conf sets timeouts.event */
};

/* The last has no name. */
extern const struct command commands[];

/* Whether the options of RUN fit: STATUS_USAGE for --dry-run or --root with what does not support it. */
int command_accepts(const struct command *command, const struct run *run, struct error **err);

/* The command called NAME if ROLE has such an event, else NULL. */
const struct command *command_find(const struct role *role, const char *name);

#endif
