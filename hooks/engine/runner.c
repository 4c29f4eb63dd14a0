#include "hooks/engine/runner.h"

#include <string.h>

#include "hooks/engine/history.h"
#include "hooks/engine/run.h"
#include "lib/core/logger.h"

const struct event *role_event(const struct role *role, const char *name, bool check_only)
{
    _cleanup_free_ char *full = xasprintf("%s%s", name, check_only ? " --check" : "");
    for (const struct event *event = role->events; event->name != NULL; event++) {
        if (strcmp(event->name, full) == 0) {
            return event;
        }
    }
    return NULL;
}

const struct step *const *role_steps(const struct role *role, const char *name)
{
    const struct event *event = role_event(role, name, false);
    return event == NULL ? NULL : event->steps;
}

static int step_try(struct run *run, const struct step *step, struct error **err)
{
    if (run_goes_on(run, err) < 0) {
        return -1;
    }
    int done = step->done == NULL ? 0 : step->done(run, err);
    return done != 0 ? done : step->apply(run, err);
}

int step_run(struct run *run, const struct step *step, struct error **err)
{
    int result = step_try(run, step, err);
    return result < 0 ? error_wrap(err, "%s", step->name) : result;
}

static int step_preview(struct run *run, const struct step *step, struct error **err)
{
    _cleanup_error_ struct error *unknown = NULL;
    int done = step->done == NULL ? 0 : step->done(run, &unknown);
    if (done > 0) {
        printf("%-30s done\n", step->name);
        return 0;
    }
    printf("%-30s would run\n", step->name);
    /* What an earlier step makes is not there yet, so a test that fails does not fail a dry run. */
    if (done < 0) {
        printf("  as things are now: %s\n", unknown->message);
    }
    return step->preview == NULL ? 0 : step->preview(run, err);
}

static int steps_preview(struct run *run, const struct step *const *steps, struct error **err)
{
    for (const struct step *const *step = steps; *step != NULL; step++) {
        if (step_preview(run, *step, err) < 0) {
            return error_wrap(err, "%s", (*step)->name);
        }
    }
    return 0;
}

static int step_timed(struct run *run, const struct step *step, struct history *history, struct error **err)
{
    int64_t start = clock_ms();
    log_set_step(step->name);
    history_step_begin(history, step->name);
    int result = step_run(run, step, err);
    int64_t ms = clock_ms() - start;
    history_step_end(history, result < 0 ? "failed" : result > 0 ? "done" : "applied", ms);
    if (result > 0) {
        log_timed(LOG_LEVEL_DEBUG, ms, "%s: already done", step->name);
    } else if (result == 0) {
        log_timed(LOG_LEVEL_INFO, ms, "%s: done in %.1f s", step->name, (double)ms / 1000);
    }
    log_set_step(NULL);
    return result < 0 ? -1 : 0;
}

int steps_run(struct run *run, const struct step *const *steps, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    if (run->dry_run) {
        return steps_preview(run, steps, err);
    }
    struct history *history = history_begin(run);
    for (const struct step *const *step = steps; *step != NULL && failure == NULL; step++) {
        (void)step_timed(run, *step, history, &failure);
    }
    history_end(history, failure);
    return failure == NULL ? 0 : error_move(err, &failure);
}
