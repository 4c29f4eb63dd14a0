#include <string.h>

#include "hooks/engine/run.h"
#include "hooks/files/stopped.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/system/proc.h"

/* Grace time of a container in seconds: Kubernetes' default. */
#define GRACE "30"

static int stop_unit(struct run *run, const char *unit, struct error **err)
{
    _cleanup_error_ struct error *refusal = NULL;
    struct deadline deadline = run_deadline(run, run->conf->timeouts.unit_s);
    if (run_units(run, err) < 0) {
        return -1;
    }
    if (unit_stop(run->units, unit, deadline, &refusal) == 0) {
        return 0;
    }
    if (refusal->status == STATUS_INTERRUPTED) {
        return error_move(err, &refusal);
    }
    log_warning("%s does not stop by itself and is killed: %s", unit, refusal->message);
    return unit_kill(run->units, unit, 9, err);
}

/* A `restart` that was killed half way is not meant to stay stopped. */
static bool stays_stopped(const struct run *run)
{
    return strcmp(run->event, "stop") == 0 || strcmp(run->event, "destroy") == 0;
}

static int kubelet_stop_apply(struct run *run, struct error **err)
{
    if (stays_stopped(run)) {
        stopped_note();
    }
    return stop_unit(run, "kubelet.service", err);
}

const struct step step_stop_kubelet = {"stop kubelet", NULL, kubelet_stop_apply, NULL};

static int list_containers(struct run *run, char ***ids, struct error **err)
{
    static const char *const argv[] = {"docker", "ps", "--quiet", "--no-trunc", NULL};
    _cleanup_proc_ struct proc_result result = {0};
    const struct proc proc = {.argv = argv, .keep_output = true, .deadline = run_deadline(run, 20)};
    if (proc_run(&proc, &result, err) < 0) {
        return -1;
    }
    *ids = strv_split(result.output);
    return 0;
}

/* Docker itself kills what outlives the grace time. A docker that answers no more has to be stopped with its containers
 * as they are: that is a warning, not a reason to leave the VM running. */
static int containers_stop_apply(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    _cleanup_strv_ char **ids = NULL;
    _cleanup_strv_ char **argv = NULL;
    int active = run_units(run, err) < 0 ? -1 : unit_active(run->units, "docker.service", err);
    if (active <= 0) {
        return active;
    }
    if (list_containers(run, &ids, &failure) == 0 && ids[0] != NULL) {
        static const char *const stop[] = {"docker", "stop", "--time", GRACE};
        for (size_t i = 0; i < ELEMENTS(stop); i++) {
            strv_push(&argv, stop[i]);
        }
        for (char **id = ids; *id != NULL; id++) {
            strv_push(&argv, *id);
        }
        const struct proc proc = {.argv = (const char *const *)argv, .deadline = run_deadline(run, 90)};
        (void)proc_run(&proc, NULL, &failure);
    }
    if (failure != NULL && failure->status == STATUS_INTERRUPTED) {
        return error_move(err, &failure);
    }
    if (failure != NULL) {
        log_warning("containers do not stop in order: %s", failure->message);
    }
    return 0;
}

const struct step step_stop_containers = {"stop containers", NULL, containers_stop_apply, NULL};

static int docker_stop_apply(struct run *run, struct error **err)
{
    /* The socket unit would start Docker again at the next call. */
    return stop_unit(run, "docker.socket", err) < 0 ? -1 : stop_unit(run, "docker.service", err);
}

const struct step step_stop_docker = {"stop Docker", NULL, docker_stop_apply, NULL};
