#include "hooks/engine/runner.h"
#include "hooks/events/events.h"
#include "hooks/files/files.h"
#include "hooks/steps/machine/file_actions.h"
#include "hooks/steps/steps.h"

/* A change that may not be made is refused before any file has it. */
static int accept_change(struct run *run, struct error **err)
{
    static const struct step *const steps[] = {&step_accept_parameters, &step_check_hostnic};
    bool preview = run->dry_run || run->diff;
    for (size_t i = 0; files_there(run) && i < ELEMENTS(steps); i++) {
        int result = preview ? steps[i]->done(run, err) : step_run(run, steps[i], err);
        if (result < 0) {
            return preview ? error_wrap(err, "%s", steps[i]->name) : -1;
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
