#include "tests/lab/lab/appcenter.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "lib/file.h"
#include "tests/lab/lab/machine.h"
#include "tests/lab/lab/metadata.h"
#include "tests/lab/lab/network.h"
#include "tests/lab/lab/package.h"
#include "tests/lab/lab/parallel.h"
#include "tests/lab/lab/progress.h"

#define BOOT_S 120

typedef bool filter(const struct machine *machine);

struct call {
    struct lab *lab;
    struct machine *machine;
    const char *event;
};

static bool every(const struct machine *machine)
{
    return machine->instance_id != NULL;
}

static bool adding(const struct machine *machine)
{
    return machine->adding;
}

static bool staying(const struct machine *machine)
{
    return machine->instance_id != NULL && !machine->adding && !machine->deleting;
}

static bool leaving(const struct machine *machine)
{
    return machine->deleting;
}

/* The output of a service, for people: beside the machine's disks, one file an event. */
static void keep_output(const struct lab *lab, const struct machine *machine, const char *event,
                        const struct proc_result *result)
{
    _cleanup_free_ char *path = lab_path(lab, "machines/%s/%s.out", machine->name, event);
    (void)text_put(path, 0600, NULL, "%s", result->tail == NULL ? "" : result->tail);
}

/* The agent's watch is no service: its reload command is in the resource it was given. */
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

int appcenter_service(struct lab *lab, struct machine *machine, const char *event, const char *argument,
                      struct proc_result *result, struct error **err)
{
    struct service service;
    if (!service_of(lab, machine, event, &service)) {
        return error_new(err, STATUS_USAGE, "role %s has no service %s", machine->role, event);
    }
    _cleanup_free_ char *params = service.params == NULL ? NULL : json_dumps(service.params, JSON_COMPACT);
    argument = argument == NULL ? params : argument;
    _cleanup_free_ char *command =
        argument == NULL ? xstrdup(service.command) : xasprintf("%s '%s'", service.command, argument);
    int r = machine_run(machine, command, deadline_in(service.timeout * 1000L), result, err);
    keep_output(lab, machine, event, result);
    return r;
}

static int call_job(void *data, struct error **err)
{
    struct call *call = data;
    _cleanup_proc_ struct proc_result result = {0};
    struct task *task = progress_begin(NULL, "%s: %s", call->machine->name, call->event);
    int r = appcenter_service(call->lab, call->machine, call->event, NULL, &result, err);
    progress_end(task, r == 0, NULL);
    if (r == 0 && strcmp(call->event, "custom_metadata") == 0) {
        size_t len = strlen(result.output);
        while (len > 0 && result.output[len - 1] == '\n') {
            result.output[--len] = '\0';
        }
        free(call->machine->token);
        call->machine->token = xstrdup(result.output);
    }
    return r == 0 ? 0 : error_wrap(err, "%s: %s", call->machine->name, call->event);
}

/* When an event with that name runs: before (pre-checks and most), or after start or stop. */
enum phase { MAIN_PHASE, POST_PHASE };

static bool due(const struct lab *lab, const struct machine *machine, const char *event, enum phase phase,
                struct service *service)
{
    return service_of(lab, machine, event, service) &&
           (service->post_start || service->post_stop) == (phase == POST_PHASE);
}

static int next_order(const struct lab *lab, filter *which, const char *event, enum phase phase, int after)
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

/* EVENT on all machines WHICH says, in ascending order, those of the same order at once. */
static int run_phase(struct lab *lab, filter *which, const char *event, enum phase phase, struct error **err)
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

static int run_event(struct lab *lab, filter *which, const char *event, struct error **err)
{
    return run_phase(lab, which, event, MAIN_PHASE, err);
}

int appcenter_boot(struct lab *lab, struct error **err)
{
    if (network_up(lab, err) != 0 || network_enter(lab, err) != 0 || metadata_up(lab, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < lab->n_machines; i++) {
        struct machine *m = lab->machines[i];
        if (!process_alive(&m->nspawn) && m->instance_id == NULL) {
            m->instance_id = random_id("i-");
            m->nspawn = (struct process){0};
        }
    }
    if (metadata_publish(lab, err) != 0) {
        return -1;
    }
    struct task *task = progress_begin(NULL, "booting %zu machines", lab->n_machines);
    int r = 0;
    for (size_t i = 0; r == 0 && i < lab->n_machines; i++) {
        if (!process_alive(&lab->machines[i]->nspawn)) {
            r = machine_start(lab, lab->machines[i], err);
        }
    }
    /* What was started must be known to `down`, whatever comes now. */
    r = lab_save(lab, r == 0 ? err : NULL) == 0 ? r : -1;
    for (size_t i = 0; r == 0 && i < lab->n_machines; i++) {
        if (lab->machines[i]->notify >= 0) {
            r = machine_wait(lab, lab->machines[i], deadline_in(BOOT_S * 1000L), err);
        }
    }
    progress_end(task, r == 0, NULL);
    return lab_save(lab, r == 0 ? err : NULL) == 0 ? r : -1;
}

static int make_keys(struct lab *lab, struct machine *machine, struct error **err)
{
    if (!package_has_keys(lab->package, machine->role)) {
        return 0;
    }
    _cleanup_free_ char *dir = lab_path(lab, "machines/%s", machine->name);
    _cleanup_free_ char *key = lab_path(lab, "machines/%s/id_rsa", machine->name);
    _cleanup_free_ char *pub = xasprintf("%s.pub", key);
    size_t len;
    if (dir_make(dir, 0700, err) != 0 ||
        proc_exec(deadline_in(60000), err, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-C",
                  machine->node_id, "-f", key, NULL) != 0 ||
        file_read(pub, 0, &machine->pub_key, &len, err) != 0) {
        return -1;
    }
    machine->pub_key[strcspn(machine->pub_key, "\n")] = '\0';
    return 0;
}

static int add_machines(struct lab *lab, const struct role_count *counts, bool adding_nodes, struct error **err)
{
    for (; counts->role != NULL; counts++) {
        for (int i = 0; i < counts->count; i++) {
            struct machine *m = lab_add(lab, counts->role);
            m->adding = adding_nodes;
            if (make_keys(lab, m, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

int appcenter_register(struct lab *lab, const struct role_count *counts, struct error **err)
{
    return add_machines(lab, counts, false, err);
}

static int bring_up(struct lab *lab, filter *which, struct error **err)
{
    return run_event(lab, which, "init", err) == 0 && run_event(lab, which, "custom_metadata", err) == 0 &&
                   metadata_publish(lab, err) == 0 && run_event(lab, which, "start", err) == 0 &&
                   run_phase(lab, which, "init", POST_PHASE, err) == 0
               ? 0
               : -1;
}

int appcenter_create(struct lab *lab, const struct role_count *counts, struct error **err)
{
    if (appcenter_register(lab, counts, err) != 0 || appcenter_boot(lab, err) != 0 || bring_up(lab, every, err) != 0) {
        return -1;
    }
    lab->created = true;
    return lab_save(lab, err);
}

int appcenter_reload(struct lab *lab, struct error **err)
{
    return metadata_publish(lab, err) == 0 && run_event(lab, staying, "reload", err) == 0 ? 0 : -1;
}

static void settle(struct lab *lab)
{
    for (size_t i = 0; i < lab->n_machines; i++) {
        lab->machines[i]->adding = false;
        lab->machines[i]->deleting = false;
    }
}

static void drop(struct lab *lab, filter *which)
{
    for (size_t i = lab->n_machines; i > 0; i--) {
        struct machine *m = lab->machines[i - 1];
        if (which(m)) {
            machine_power_off(lab, m, deadline_in(20000));
            (void)machine_erase(lab, m, NULL);
            lab_remove(lab, m);
        }
    }
}

int appcenter_add(struct lab *lab, const struct role_count *counts, struct error **err)
{
    if (run_event(lab, every, "scale_out.pre_check", err) != 0 || add_machines(lab, counts, true, err) != 0) {
        return -1;
    }
    int r = appcenter_boot(lab, err) == 0 && appcenter_reload(lab, err) == 0 && bring_up(lab, adding, err) == 0 &&
                    run_event(lab, staying, "scale_out", err) == 0
                ? 0
                : -1;
    if (r != 0) {
        drop(lab, adding);
    }
    settle(lab);
    (void)lab_save(lab, NULL);
    return appcenter_reload(lab, r == 0 ? err : NULL) == 0 ? r : -1;
}

int appcenter_delete(struct lab *lab, char *const *names, bool force, struct error **err)
{
    for (; *names != NULL; names++) {
        struct machine *m = lab_find(lab, *names, err);
        if (m == NULL) {
            settle(lab);
            return -1;
        }
        m->deleting = true;
    }
    int r = metadata_publish(lab, err) == 0 && run_event(lab, staying, "scale_in.pre_check", err) == 0 &&
                    run_event(lab, staying, "scale_in", err) == 0
                ? 0
                : -1;
    if (r == 0 && run_event(lab, leaving, "destroy", err) != 0 && !force) {
        r = -1;
    }
    if (r == 0) {
        (void)run_event(lab, leaving, "stop", NULL);
        r = run_phase(lab, leaving, "destroy", POST_PHASE, err) == 0 || force ? 0 : -1;
    }
    if (r == 0) {
        error_freep(err);
        drop(lab, leaving);
    }
    settle(lab);
    (void)lab_save(lab, NULL);
    return appcenter_reload(lab, r == 0 ? err : NULL) == 0 ? r : -1;
}

int appcenter_stop(struct lab *lab, struct error **err)
{
    if (run_event(lab, every, "stop", err) != 0) {
        return -1;
    }
    struct task *task = progress_begin(NULL, "dropping the machines");
    for (size_t i = 0; i < lab->n_machines; i++) {
        machine_power_off(lab, lab->machines[i], deadline_in(20000));
    }
    progress_end(task, true, NULL);
    return lab_save(lab, err);
}

int appcenter_start(struct lab *lab, struct error **err)
{
    return appcenter_boot(lab, err) == 0 && run_event(lab, every, "start", err) == 0 ? 0 : -1;
}

int appcenter_restart(struct lab *lab, struct error **err)
{
    return run_event(lab, every, "restart", err);
}

int appcenter_set(struct lab *lab, const char *key, const char *value, struct error **err)
{
    json_object_set_new(lab->env, key, json_string(value));
    return lab_save(lab, err) == 0 && appcenter_reload(lab, err) == 0 ? 0 : -1;
}

int lab_down(struct lab *lab, struct error **err)
{
    for (size_t i = 0; i < lab->n_machines; i++) {
        machine_cut(lab, lab->machines[i]);
    }
    process_end(&lab->metad, 15, deadline_in(5000));
    network_down(lab);
    return files_remove(lab->dir, err);
}
