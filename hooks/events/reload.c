#include "hooks/engine/runner.h"
#include "hooks/events/events.h"
#include "hooks/files/files.h"
#include "hooks/steps/machine/file_actions.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

static const struct step *const accepting[] = {&step_accept_parameters, &step_check_cloud};

/* A change that may not be made is refused before any file has it. */
static int accept_change(struct run *run, struct error **err)
{
    bool preview = run->dry_run || run->diff;
    for (size_t i = 0; files_there(run) && i < ELEMENTS(accepting); i++) {
        int result = preview ? accepting[i]->done(run, err) : step_run(run, accepting[i], err);
        if (result < 0) {
            return preview ? error_wrap(err, "%s", accepting[i]->name) : -1;
        }
    }
    return 0;
}

/* A cloud that does not answer has refused nothing: all else is done, and this reload fails so that it is done again.
 */
int event_reload(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *unknown = NULL;
    if (accept_change(run, &unknown) < 0) {
        if (unknown->status != STATUS_CLOUD_UNREACHABLE) {
            return error_move(err, &unknown);
        }
        log_warning("%s: the rest of the change is made", unknown->message);
    }
    if (reload(run, reload_actions, err) < 0) {
        return -1;
    }
    return unknown == NULL ? 0 : error_move(err, &unknown);
}

static int reconcile_done(struct run *run, struct error **err)
{
    for (size_t i = 0; files_there(run) && i < ELEMENTS(accepting); i++) {
        int done = accepting[i]->done(run, err);
        if (done <= 0) {
            return done < 0 ? error_wrap(err, "%s", accepting[i]->name) : 0;
        }
    }
    int due = reload_due(run, reload_actions, err);
    return due < 0 ? -1 : !due;
}

static const struct step step_reconcile = {"reconcile files and add-ons", reconcile_done, event_reload, event_reload};

int event_reconcile(struct run *run, struct error **err)
{
    static const struct step *const steps[] = {&step_reconcile, NULL};
    return steps_run(run, steps, err);
}
