#include "hooks/engine/runner.h"
#include "hooks/events/events.h"
#include "hooks/files/files.h"
#include "hooks/files/reload_record.h"
#include "hooks/steps/machine/file_actions.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

static const struct step *const accepting[] = {&step_accept_parameters, &step_check_cloud, NULL};
static const struct step *const accepting_again[] = {&step_accept_parameters, &step_recheck_cloud, NULL};

/* A change that is not allowed is refused before any file has it. That the cloud does not answer is no reason to leave
 * /etc/hosts as it was: *deferred, which may be retried, and the rest is done. */
static int accept_change(struct run *run, const struct step *const *steps, struct error **deferred, struct error **err)
{
    bool preview = run->dry_run || run->diff;
    for (; files_there(run) && *steps != NULL; steps++) {
        _cleanup_error_ struct error *failure = NULL;
        int result = preview ? (*steps)->done(run, &failure) : step_run(run, *steps, &failure);
        if (result >= 0) {
            continue;
        }
        if (!preview && (failure->status == STATUS_CLOUD_UNREACHABLE || failure->status == STATUS_CLOUD_QUOTA)) {
            log_warning("%s; the rest of the reload is done", failure->message);
            *deferred = STEAL(failure);
            continue;
        }
        if (preview) {
            (void)error_wrap(&failure, "%s", (*steps)->name);
        }
        return error_move(err, &failure);
    }
    return 0;
}

static int reload_once_accepted(struct run *run, const struct step *const *steps, struct error **err)
{
    _cleanup_error_ struct error *deferred = NULL;
    _cleanup_error_ struct error *failure = NULL;
    if (accept_change(run, steps, &deferred, &failure) == 0) {
        (void)reload(run, reload_actions, &failure);
    }
    struct error **result = failure != NULL ? &failure : &deferred;
    if (!run->dry_run && !run->diff) {
        reload_record(run, *result);
    }
    return *result == NULL ? 0 : error_move(err, result);
}

int event_reload(struct run *run, struct error **err)
{
    return reload_once_accepted(run, accepting, err);
}

static int reconcile_done(struct run *run, struct error **err)
{
    for (size_t i = 0; files_there(run) && accepting[i] != NULL; i++) {
        int done = accepting[i]->done(run, err);
        if (done <= 0) {
            return done < 0 ? error_wrap(err, "%s", accepting[i]->name) : 0;
        }
    }
    int due = reload_due(run, reload_actions, err);
    return due < 0 ? -1 : !due;
}

static int reconcile_apply(struct run *run, struct error **err)
{
    return reload_once_accepted(run, accepting_again, err);
}

static const struct step step_reconcile = {"reconcile files and add-ons", reconcile_done, reconcile_apply,
                                           event_reload};

int event_reconcile(struct run *run, struct error **err)
{
    static const struct step *const steps[] = {&step_reconcile, NULL};
    static const struct step *const steps_of_node[] = {&step_reconcile, &step_keep_images, &step_renew_pod_network,
                                                       NULL};
    static const struct step *const steps_of_master[] = {&step_issue_admission_certificate,
                                                         &step_reconcile,
                                                         &step_keep_images,
                                                         &step_renew_pod_network,
                                                         &step_put_log_template,
                                                         &step_default_load_balancers,
                                                         NULL};
    return steps_run(run, run->role->control_plane ? steps_of_master : run->role->kubelet ? steps_of_node : steps, err);
}
