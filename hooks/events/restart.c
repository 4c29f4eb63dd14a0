#include "hooks/engine/run.h"
#include "hooks/engine/runner.h"
#include "hooks/events/events.h"

/* The start half queries the servers again, since a restart is also how an operator brings a changed parameter in. */
int event_restart(struct run *run, struct error **err)
{
    const struct step *const *stop = role_steps(run->role, "stop");
    if (steps_run(run, stop, err) < 0) {
        return -1;
    }
    return steps_run(run, role_steps(run->role, "start"), err);
}
