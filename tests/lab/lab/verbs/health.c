/* `health`: the platform's loop of health checks. */
#include <string.h>

#include "lib/core/interrupt.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/lab/machine/parallel.h"
#include "tests/lab/lab/machine/services.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/verb.h"

/* What the loop knows of a machine. */
struct watched {
    const struct lab *lab;
    const struct machine *machine;
    struct health_check check;
    int good, bad;       /* in a row */
    bool known, healthy; /* the verdict */
    int64_t due;         /* clock_ms() of the next check */
};

static void verdict(struct watched *w, bool healthy, int status, const char *error)
{
    if (!w->known || w->healthy != healthy) {
        progress_say("%s is %s", w->machine->name, healthy ? "healthy" : "unhealthy");
        record_health(w->lab, w->machine, healthy, status, error);
    }
    w->known = true;
    w->healthy = healthy;
}

/* AppCenter runs the action each time the threshold is reached, and counts anew. */
static void act(struct watched *w)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_proc_ struct proc_result result = {0};
    struct task *task = progress_begin(NULL, "%s: action", w->machine->name);
    int r = service_run(w->lab, w->machine, "action", NULL, &result, &err);
    progress_end(task, r == 0, r == 0 ? NULL : err->message);
    w->bad = 0;
}

static int check_job(void *data, struct error **err)
{
    struct watched *w = data;
    _cleanup_error_ struct error *why = NULL;
    _cleanup_proc_ struct proc_result result = {0};
    w->due = clock_ms() + w->check.interval_s * 1000L;
    int r = service_run(w->lab, w->machine, "check", NULL, &result, &why);
    if (interrupted()) {
        return interrupt_check(err);
    }
    int status = r == 0 ? 0 : result.status > 0 ? result.status : why->status;
    w->good = r == 0 ? w->good + 1 : 0;
    w->bad = r == 0 ? 0 : w->bad + 1;
    int wanted = r == 0 ? w->check.healthy : w->check.unhealthy;
    int reached = r == 0 ? w->good : w->bad;
    progress_say("%s: check %s (%d of %d)", w->machine->name, r == 0 ? "passed" : "failed",
                 reached < wanted ? reached : wanted, wanted);
    if (r == 0 && w->good >= w->check.healthy) {
        verdict(w, true, 0, NULL);
    }
    if (r != 0 && w->bad >= w->check.unhealthy) {
        verdict(w, false, status, why->message);
        act(w);
    }
    return 0;
}

/* All that are due, at once. */
static int round_of(struct watched *all, size_t n, struct error **err)
{
    struct job *jobs = xcalloc(n + 1, sizeof *jobs);
    size_t due = 0;
    for (size_t i = 0; i < n; i++) {
        if (all[i].due <= clock_ms()) {
            jobs[due++] = (struct job){check_job, &all[i], NULL};
        }
    }
    int r = parallel(jobs, due, err);
    free(jobs);
    return r;
}

static int64_t next_due(const struct watched *all, size_t n)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        next = all[i].due < next ? all[i].due : next;
    }
    return next;
}

static int loop(struct watched *all, size_t n, long rounds, struct error **err)
{
    for (long done = 0; rounds == 0 || done < rounds; done++) {
        if (done > 0 && interrupt_sleep(next_due(all, n) - clock_ms(), deadline_never(), NULL) != 0) {
            return 0;
        }
        if (round_of(all, n, err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (all[i].known && !all[i].healthy) {
            return error_new(err, STATUS_FAILED, "%s is unhealthy", all[i].machine->name);
        }
    }
    return 0;
}

/* A stopped cluster has no checks; a machine whose power went has, which fail. */
static bool any_runs(const struct watched *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (process_alive(&all[i].machine->leader)) {
            return true;
        }
    }
    return false;
}

int verb_health(struct lab *lab, char **argv, struct error **err)
{
    const char *interval = NULL;
    const char *rounds = NULL;
    long seconds = 0;
    long count = 0;
    if (take_value(&argv, "--interval", &interval, err) != 0 || take_value(&argv, "--rounds", &rounds, err) != 0) {
        return -1;
    }
    if ((interval != NULL && !str_number(interval, 1, 86400, &seconds)) ||
        (rounds != NULL && !str_number(rounds, 1, 1000000, &count))) {
        return error_new(err, STATUS_USAGE, "health [--interval SECONDS] [--rounds N] [MACHINE...]");
    }
    _cleanup_free_ struct watched *all = xcalloc(lab->n_machines + 1, sizeof *all);
    size_t n = 0;
    for (char **name = argv; *name != NULL; name++) {
        if (lab_find(lab, *name, err) == NULL) {
            return -1;
        }
    }
    for (size_t i = 0; i < lab->n_machines; i++) {
        const struct machine *m = lab->machines[i];
        struct watched w = {.lab = lab, .machine = m};
        bool named = *argv == NULL;
        for (char **name = argv; *name != NULL; name++) {
            named = named || lab_find(lab, *name, NULL) == m;
        }
        if (named && package_health(lab->package, m->role, &w.check)) {
            w.check.interval_s = seconds > 0 ? (int)seconds : w.check.interval_s;
            all[n++] = w;
        }
    }
    if (n > 0 && !any_runs(all, n)) {
        return need_machine(all[0].machine, err);
    }
    return n > 0 ? loop(all, n, count, err)
                 : error_new(err, STATUS_USAGE, "none of these machines' roles has a health check");
}
