#include "tests/lab/lab/machine/agents.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "lib/system/file.h"
#include "tests/lab/lab/cluster/app.h"
#include "tests/lab/lab/faults/fault.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/machine/parallel.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/lab/record/record.h"

#define PROGRAM "usr/lib/k8s-lab/agent"
#define STATE_DIRECTORY "/run/k8s-lab-agent"
#define STATE "state.json" /* tests/lab/agent/report.go */
#define AGENT_S 660        /* a reload ends by itself in 600 s */

static const char unit[] = "[Unit]\n"
                           "Description=AppCenter's agent, as the lab has it\n"
                           "[Service]\n"
                           "Environment=GOMAXPROCS=1 HOME=/root\n"
                           "ExecStart=/" PROGRAM " -confdir /etc/confd -state " STATE_DIRECTORY "/" STATE "\n"
                           "RuntimeDirectory=k8s-lab-agent\n"
                           "RuntimeDirectoryMode=0700\n"
                           "Restart=always\n"
                           "RestartSec=1\n"
                           "[Install]\n"
                           "WantedBy=multi-user.target\n";

int agent_install(const struct lab *lab, const char *layer, struct error **err)
{
    _cleanup_free_ char *program = xasprintf("%s/agent", lab->bin);
    _cleanup_free_ char *to = path_join(layer, PROGRAM);
    _cleanup_free_ char *service = path_join(layer, "etc/systemd/system/k8s-lab-agent.service");
    _cleanup_free_ char *wants_dir = path_join(layer, "etc/systemd/system/multi-user.target.wants");
    _cleanup_free_ char *wants = path_join(wants_dir, "k8s-lab-agent.service");
    _cleanup_free_ char *data = NULL;
    size_t len;
    if (access(program, X_OK) != 0) {
        return error_new(err, STATUS_USAGE, "%s is not built: `make deps` installs Go, `make` builds it", program);
    }
    if (file_read(program, (size_t)64 << 20, &data, &len, err) != 0) {
        return -1;
    }
    struct file_spec spec = {.path = to, .data = data, .len = len, .mode = 0755};
    return file_put(&spec, NULL, err) == 0 && text_put(service, 0644, err, "%s", unit) == 0 &&
                   dir_make(wants_dir, 0755, err) == 0
               ? link_make("../k8s-lab-agent.service", wants, NULL, err)
               : -1;
}

/* What is waited for on one machine. */
struct awaited {
    const struct lab *lab;
    const struct machine *machine;
    char *directory; /* of the agent's state, from outside of the machine */
    struct record *record;
    struct task *task;
    json_int_t recorded; /* where the last entry that is in the record began, ns */
    struct error *failure;
};

static void awaited_free(struct awaited *a)
{
    free(a->directory);
    error_free(a->failure);
}

static void entry_begins(struct awaited *a, const json_t *entry)
{
    a->record = record_begin(a->lab, a->machine, "reload");
    record_began(a->record, json_integer_value(json_object_get(entry, "began_ns")));
    a->task = progress_begin(NULL, "%s: reload", a->machine->name);
}

static void entry_ended(struct awaited *a, const json_t *entry)
{
    int status = (int)json_integer_value(json_object_get(entry, "status"));
    const char *error = json_text_or(entry, "error", "");
    const char *resource = json_text_or(entry, "resource", "");
    _cleanup_free_ char *output = lab_path(a->lab, "machines/%s/reload.out", a->machine->name);
    (void)text_put(output, 0600, NULL, "%s%s", error, *error == '\0' ? "" : "\n");
    record_steps(a->record, json_text_or(entry, "command", ""));
    record_argument(a->record, resource);
    record_end(STEAL(a->record), status, status == 0 ? NULL : error);
    progress_end(STEAL(a->task), status == 0, NULL);
    a->recorded = json_integer_value(json_object_get(entry, "began_ns"));
    if (status != 0 && !app_is_product(a->lab)) {
        progress_say("%s: reload: %s: %s; AppCenter does not see it and goes on", a->machine->name, resource, error);
    } else if (status != 0 && a->failure == NULL) {
        (void)error_new(&a->failure, status, "%s: reload: %s: %s", a->machine->name, resource, error);
    }
}

/* Puts what is new in the agent's STATE into the record. True once it has processed the version. */
static bool take_state(struct awaited *a, const json_t *state)
{
    size_t i;
    json_t *entry;
    json_array_foreach (json_object_get(state, "entries"), i, entry) {
        if (json_integer_value(json_object_get(entry, "version")) <= a->lab->version_before ||
            json_integer_value(json_object_get(entry, "began_ns")) <= a->recorded) {
            continue;
        }
        if (a->record == NULL) {
            entry_begins(a, entry);
        }
        if (json_integer_value(json_object_get(entry, "ended_ns")) > 0) {
            entry_ended(a, entry);
        }
    }
    return json_integer_value(json_object_get(state, "version")) >= a->lab->version;
}

static int too_late(const struct awaited *a, struct error **err)
{
    return error_new(
        err, STATUS_FAILED,
        "%s: its agent has not processed the metadata in %d s; its log: `lab logs %s --unit k8s-lab-agent`",
        a->machine->name, AGENT_S, a->machine->name);
}

static int await_state(struct awaited *a, struct error **err)
{
    struct deadline deadline = deadline_in(AGENT_S * 1000L);
    _cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    _cleanup_free_ char *path = path_join(a->directory, STATE);
    bool watches = false;
    for (;;) {
        char events[4096];
        while (read(watch, events, sizeof events) > 0) {
        }
        /* the directory is there as soon as the service is */
        watches = watches || inotify_add_watch(watch, a->directory, IN_MOVED_TO) >= 0;
        _cleanup_json_ json_t *state = json_load_file(path, 0, NULL);
        if (state != NULL && take_state(a, state)) {
            return 0;
        }
        int64_t left = deadline_left(deadline);
        if (!process_alive(&a->machine->leader)) {
            return error_new(err, STATUS_FAILED, "machine %s is off: " MACHINE_OFF, a->machine->name);
        }
        if (left == 0) {
            return too_late(a, err);
        }
        struct pollfd fds[] = {{.fd = watch, .events = POLLIN}, {.fd = interrupt_fd(), .events = POLLIN}};
        int64_t most = watches ? 1000 : 50;
        (void)poll(fds, ELEMENTS(fds), left > most ? (int)most : (int)left);
        if (interrupt_check(err) != 0) {
            return -1;
        }
    }
}

static int await_job(void *data, struct error **err)
{
    struct awaited *a = data;
    a->directory = xasprintf("/proc/%d/root" STATE_DIRECTORY, a->machine->leader.pid);
    int r = await_state(a, err);
    if (a->record != NULL) { /* given up in the midst of it */
        progress_end(STEAL(a->task), false, NULL);
        (void)record_result(STEAL(a->record), r, err);
    }
    if (r == 0 && a->failure != NULL) {
        r = error_move(err, &a->failure);
    }
    awaited_free(a);
    return r;
}

/* The fault that keeps MACHINE from the metadata; borrowed from FAULTS. */
static const char *kept_away(const json_t *faults, const struct machine *machine)
{
    size_t i;
    json_t *fault;
    json_array_foreach (faults, i, fault) {
        const char *name = json_text_or(fault, "fault", "");
        if (strcmp(name, "metadata-down") == 0 || strcmp(name, "metadata-half") == 0 ||
            strcmp(name, "metadata-wrong") == 0 ||
            (strcmp(name, "cut") == 0 && strcmp(json_text_or(fault, "machine", ""), machine->name) == 0)) {
            return name;
        }
    }
    return NULL;
}

int agents_await(struct lab *lab, machine_filter *which, struct error **err)
{
    _cleanup_json_ json_t *faults = fault_list(lab);
    struct awaited *awaited = xcalloc(lab->n_machines + 1, sizeof *awaited);
    struct job *jobs = xcalloc(lab->n_machines + 1, sizeof *jobs);
    size_t n = 0;
    for (size_t i = 0; i < lab->n_machines; i++) {
        const struct machine *machine = lab->machines[i];
        const char *fault = which(machine) ? kept_away(faults, machine) : NULL;
        if (fault != NULL) {
            progress_say("%s: its agent reloads when the fault %s has ended", machine->name, fault);
        } else if (which(machine)) {
            awaited[n] = (struct awaited){.lab = lab, .machine = machine};
            jobs[n] = (struct job){await_job, &awaited[n], NULL};
            n++;
        }
    }
    int r = parallel(jobs, n, err);
    free(awaited);
    free(jobs);
    return r;
}
