#include "hooks/events/events.h"
#include "hooks/files/files.h"
#include "hooks/steps/machine/file_actions.h"
#include "hooks/steps/steps.h"

/* A change that may not be is refused before any file has it. */
static int accept_change(struct run *run, struct error **err)
{
    static const struct step *const steps[] = {&step_accept_parameters, &step_check_hostnic};
    for (size_t i = 0; files_there(run) && i < ELEMENTS(steps); i++) {
        int done = steps[i]->done(run, err);
        bool owed = done == 0 && !run->dry_run && !run->diff;
        if (done < 0 || (owed && steps[i]->apply(run, err) < 0)) {
            return error_wrap(err, "%s", steps[i]->name);
        }
    }
    return 0;
}

int event_reload(struct run *run, struct error **err)
{
    if (accept_change(run, err) < 0) {
        return -1;
    }
    return reload(run, reload_actions, err);
}
