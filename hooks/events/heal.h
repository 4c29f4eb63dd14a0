/* What `revive` can do about a check that fails. */
#ifndef HOOKS_EVENTS_HEAL_H
#define HOOKS_EVENTS_HEAL_H

#include "hooks/checks/checks.h"

struct heal {
    const struct check *check;
    /* Only when nothing was healed before it: it may have followed from that, and needs time to come back. */
    bool alone;
    /* Its effect shows at once: the check is run again before it counts as healed. */
    bool at_once;
    /* 1 with *done, what was done in a few words: healed. 0: there is nothing to do about it on this host. -1: it
     * failed. */
    int (*apply)(struct run *run, const char **done, struct error **err);
};

/* In the order in which they are tried: causes before what follows from them. The last has no check. */
extern const struct heal heals[];

#endif
