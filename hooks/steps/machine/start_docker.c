#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"

static int docker_done(struct run *run, struct error **err)
{
    return run_units(run, err) < 0 ? -1 : unit_active(run->units, "docker.service", err);
}

static int docker_apply(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.unit_s);
    return run_units(run, err) < 0 ? -1 : unit_start(run->units, "docker.service", deadline, err);
}

const struct step step_start_docker = {"start Docker", docker_done, docker_apply, NULL};
