#include "hooks/files/files.h"
#include "hooks/steps/machine/file_actions.h"
#include "hooks/steps/steps.h"

static int files_step_done(struct run *run, struct error **err)
{
    int done = files_done(run, err);
    if (done <= 0) {
        return done;
    }
    int owed = reload_owed(run, reload_actions, true, err);
    return owed < 0 ? -1 : !owed;
}

static int files_step_apply(struct run *run, struct error **err)
{
    return reload_files(run, reload_actions, err);
}

const struct step step_write_files = {"write files", files_step_done, files_step_apply, files_preview};

static int run_file_actions_done(struct run *run, struct error **err)
{
    int owed = reload_owed(run, reload_actions, false, err);
    return owed < 0 ? -1 : !owed;
}

static int run_file_actions_apply(struct run *run, struct error **err)
{
    return reload_settle(run, reload_actions, err);
}

const struct step step_run_file_actions = {"run pending file actions", run_file_actions_done, run_file_actions_apply,
                                           NULL};
