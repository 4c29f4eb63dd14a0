#include "hooks/engine/run.h"
#include "hooks/files/stopped.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

static int kubelet_done(struct run *run, struct error **err)
{
    int active = run_units(run, err) < 0 ? -1 : unit_active(run->units, "kubelet.service", err);
    return active == 1 && stopped_noted() ? 0 : active;
}

static int kubelet_apply(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.unit_s);
    stopped_forget();
    return run_units(run, err) < 0 ? -1 : unit_start(run->units, "kubelet.service", deadline, err);
}

const struct step step_start_kubelet = {"start kubelet", kubelet_done, kubelet_apply, NULL};

/* systemd reads unit files and sysctl.d only on request; both are cheap enough to do every time. */
static int system_settings_apply(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.unit_s);
    if (run_units(run, err) < 0 || units_reload(run->units, deadline, err) < 0) {
        return -1;
    }
    return unit_restart(run->units, "systemd-sysctl.service", deadline, err);
}

const struct step step_apply_system_settings = {"apply system settings", NULL, system_settings_apply, NULL};

static int kubelet_restarted_apply(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.unit_s);
    return run_units(run, err) < 0 ? -1 : unit_restart(run->units, "kubelet.service", deadline, err);
}

const struct step step_restart_kubelet = {"restart kubelet", NULL, kubelet_restarted_apply, NULL};
