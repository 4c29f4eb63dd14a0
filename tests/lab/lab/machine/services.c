#include "tests/lab/lab/machine/services.h"

#include <limits.h>
#include <string.h>

#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/lab/faults/fault.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/machine/parallel.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/lab/record/record.h"

struct call {
    struct lab *lab;
    struct machine *machine;
    const char *event;
};

/* The output of a service, for people: beside the machine's disks, one file an event. */
static void keep_output(const struct lab *lab, const struct machine *machine, const char *event,
                        const struct proc_result *result)
{
    _cleanup_free_ char *path = lab_path(lab, "machines/%s/%s.out", machine->name, event);
    (void)text_put(path, 0600, NULL, "%s%s", str_empty(result->tail) ? "" : result->tail,
                   str_empty(result->tail) ? "" : "\n");
}

/* The agent's watch is not a service: its reload command is in the resource it was given. */
#define RELOAD "/opt/kubernetes/bin/k8s-hook reload"
#define RELOAD_S 300

static bool service_of(const struct lab *lab, const struct machine *machine, const char *event, struct service *service)
{
    if (strcmp(event, "reload") == 0) {
        *service = (struct service){.command = RELOAD, .timeout = RELOAD_S};
        return true;
    }
    return package_service(lab->package, machine->role, event, service);
}

int service_run(const struct lab *lab, const struct machine *machine, const char *event, const char *argument,
                struct proc_result *result, struct error **err)
{
    struct service service;
    if (!service_of(lab, machine, event, &service)) {
        return error_new(err, STATUS_USAGE, "role %s has no service %s", machine->role, event);
    }
    _cleanup_free_ char *params = service.params == NULL ? NULL : json_dumps(service.params, JSON_COMPACT);
    argument = argument == NULL ? params : argument;
    _cleanup_free_ char *environment = fault_environment(lab, machine);
    _cleanup_free_ char *command = argument == NULL ? xasprintf("%s%s", environment, service.command)
                                                    : xasprintf("%s%s '%s'", environment, service.command, argument);
    struct error *why = NULL;
    struct record *record = record_begin(lab, machine, event);
    int r = machine_run(machine, command, deadline_in(service.timeout * 1000L), result, &why);
    record_steps(record, service.command);
    record_argument(record, argument);
    record_end(record, r == 0 ? 0 : result->status > 0 ? result->status : why->status, r == 0 ? NULL : why->message);
    keep_output(lab, machine, event, result);
    if (r != 0 && result->status > 0) {
        why->status = result->status; /* the hook's own */
    }
    return r == 0 ? 0 : error_move(err, &why);
}

void service_take_token(struct machine *machine, const struct proc_result *result)
{
    const char *output = result->output == NULL ? "" : result->output;
    size_t len = strlen(output);
    while (len > 0 && output[len - 1] == '\n') {
        len--;
    }
    free(machine->token);
    machine->token = xstrndup(output, len);
}

static int call_job(void *data, struct error **err)
{
    struct call *call = data;
    _cleanup_proc_ struct proc_result result = {0};
    struct task *task = progress_begin(NULL, "%s: %s", call->machine->name, call->event);
    int r = service_run(call->lab, call->machine, call->event, NULL, &result, err);
    progress_end(task, r == 0, NULL);
    if (r == 0 && strcmp(call->event, "custom_metadata") == 0) {
        service_take_token(call->machine, &result);
    }
    return r == 0 ? 0 : error_wrap(err, "%s: %s", call->machine->name, call->event);
}

static bool due(const struct lab *lab, const struct machine *machine, const char *event, enum phase phase,
                struct service *service)
{
    return service_of(lab, machine, event, service) &&
           (service->post_start || service->post_stop) == (phase == POST_PHASE);
}

static int next_order(const struct lab *lab, machine_filter *which, const char *event, enum phase phase, int after)
{
    int next = INT_MAX;
    for (size_t i = 0; i < lab->n_machines; i++) {
        struct service service;
        if (which(lab->machines[i]) && due(lab, lab->machines[i], event, phase, &service) && service.order > after &&
            service.order < next) {
            next = service.order;
        }
    }
    return next;
}

int services_phase(struct lab *lab, machine_filter *which, const char *event, enum phase phase, struct error **err)
{
    struct call *calls = xcalloc(lab->n_machines + 1, sizeof *calls);
    struct job *jobs = xcalloc(lab->n_machines + 1, sizeof *jobs);
    int r = 0;
    for (int order = next_order(lab, which, event, phase, -1); r == 0 && order != INT_MAX;
         order = next_order(lab, which, event, phase, order)) {
        size_t n = 0;
        for (size_t i = 0; i < lab->n_machines; i++) {
            struct service service;
            if (which(lab->machines[i]) && due(lab, lab->machines[i], event, phase, &service) &&
                service.order == order) {
                calls[n] = (struct call){lab, lab->machines[i], event};
                jobs[n] = (struct job){call_job, &calls[n], NULL};
                n++;
            }
        }
        r = parallel(jobs, n, err);
    }
    free(calls);
    free(jobs);
    return r;
}

int services_run(struct lab *lab, machine_filter *which, const char *event, struct error **err)
{
    return services_phase(lab, which, event, MAIN_PHASE, err);
}
