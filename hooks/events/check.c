#include "hooks/checks/checks.h"

#include <stdio.h>

#include "hooks/events/events.h"
#include "lib/core/logger.h"

/* AppCenter kills a check at 10 s, and it must never wait past 5 s: the checks have 3 s, half a
 * second to be collected, and the report has the rest. */
enum { CHECKS_MS = 3000, REPORT_MS = 1000 };

static void print_lines(const struct check_results *results)
{
    for (size_t i = 0; i < results->n; i++) {
        const struct check_result *result = &results->of[i];
        const struct finding *finding = &result->finding;
        printf("%-5s %s: %s%s%s\n", verdict_name(finding->verdict), result->check->name, finding->reason,
               finding->remedy == NULL ? "" : "; ", finding->remedy == NULL ? "" : finding->remedy);
    }
}

/* For whoever watches the metadata server. A failure to report does not change the health. */
static void report(const struct run *run, const struct check_results *results)
{
    const struct host *self = run->facts->self;
    _cleanup_error_ struct error *err = NULL;
    if (run->dry_run || str_empty(run->conf->report.url)) {
        return;
    }
    _cleanup_json_ json_t *health = check_results_report(results);
    if (meta_report(run->conf->report.url, run->facts->cluster.id, self->role, self->instance_id, health,
                    deadline_in(REPORT_MS), &err) < 0) {
        log_warning("the health was not reported: %s", err->message);
    }
}

int event_check(struct run *run, struct error **err)
{
    _cleanup_(check_results_freep) struct check_results *results = NULL;
    struct deadline deadline = deadline_earlier(run->deadline, deadline_in(CHECKS_MS));
    if (checks_run(run, run->role->checks, deadline, &results, err) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *health = check_results_json(results);
    if (run->json) {
        (void)json_dumpf(health, stdout, JSON_COMPACT);
        (void)putchar('\n');
    } else {
        print_lines(results);
    }
    (void)fflush(stdout);
    report(run, results);
    _cleanup_free_ char *failures = check_results_failures(results);
    return checks_healthy(results) ? 0 : error_new(err, STATUS_UNHEALTHY, "%s", failures);
}
