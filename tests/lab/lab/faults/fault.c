#include "tests/lab/lab/faults/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "tests/lab/lab/faults/kinds.h"
#include "tests/lab/lab/record/record.h"

#define NS_PER_S 1000000000
#define NS_PER_MS 1000000

const struct fault_kind fault_kinds[] = {
    {"metadata-slow", "[MS]", "the metadata server answers MS later (3000)", false, false, "metadata-", metadata_slow,
     metadata_good},
    {"metadata-half", "", "half of the body, as a whole answer", false, false, "metadata-", metadata_half,
     metadata_good},
    {"metadata-wrong", "", "200 with something that is not JSON", false, false, "metadata-", metadata_wrong,
     metadata_good},
    {"metadata-down", "", "connections are refused", false, false, NULL, metadata_down, metadata_back},
    {"cloud-slow", "[MS]", "the cloud's API answers MS later (5000)", false, false, "cloud-", cloud_slow, cloud_good},
    {"cloud-quota", "", "every action: QuotaExceeded (2500)", false, false, "cloud-", cloud_quota, cloud_good},
    {"cloud-refused", "", "every action: PermissionDenied (1400)", false, false, "cloud-", cloud_refused, cloud_good},
    {"kill", "MACHINE UNIT", "SIGKILL to all processes of a unit", true, true, NULL, machine_kill, NULL},
    {"power-cut", "MACHINE", "all in it is killed; at the end it boots and starts", true, false, NULL,
     machine_power_cut, machine_power_back},
    {"cut", "MACHINE [in|out|both]", "off the network, one way or both", true, false, NULL, machine_net_cut,
     machine_net_back},
    {"disk-full", "MACHINE", "no room on /data, for files opened from now on", true, false, NULL, machine_disk_full,
     machine_disk_back},
    {"clock-off", "MACHINE BY", "the hooks' clock is off by +1y, -3h, +90d, ...", true, false, NULL, machine_clock_off,
     machine_clock_back},
    {"docker-hung", "MACHINE", "dockerd is there and does not answer", true, false, NULL, machine_docker_hung,
     machine_docker_back},
    {NULL, NULL, NULL, false, false, NULL, NULL, NULL},
};

const struct fault_kind *fault_kind(const char *name)
{
    for (const struct fault_kind *kind = fault_kinds; kind->name != NULL; kind++) {
        if (name != NULL && strcmp(kind->name, name) == 0) {
            return kind;
        }
    }
    return NULL;
}

/* Held while faults begin and end. */
static int list_lock(const struct lab *lab, struct error **err)
{
    _cleanup_free_ char *path = lab_path(lab, "faults.lock");
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        return error_errno(err, STATUS_FILE, errno, "locking %s", path);
    }
    return steal_fd(&fd);
}

json_t *fault_list(const struct lab *lab)
{
    _cleanup_free_ char *path = lab_path(lab, "faults.json");
    json_t *faults = json_load_file(path, 0, NULL);
    return json_is_array(faults) ? faults : json_array();
}

static int list_save(const struct lab *lab, const json_t *faults, struct error **err)
{
    _cleanup_free_ char *path = lab_path(lab, "faults.json");
    _cleanup_free_ char *text = json_dumps(faults, JSON_INDENT(2));
    return text_put(path, 0600, err, "%s\n", text);
}

static size_t find(const json_t *faults, const char *id)
{
    size_t i = 0;
    while (i < json_array_size(faults) && strcmp(json_text_or(json_array_get(faults, i), "id", ""), id) != 0) {
        i++;
    }
    return i;
}

static bool excluded(const struct fault_kind *kind, const char *machine, const json_t *other)
{
    const char *name = json_text_or(other, "fault", "");
    const struct fault_kind *of_other = fault_kind(name);
    if (kind->excludes != NULL && of_other != NULL && of_other->excludes != NULL) {
        return strcmp(kind->excludes, of_other->excludes) == 0;
    }
    return strcmp(kind->name, name) == 0 &&
           strcmp(machine == NULL ? "" : machine, json_text_or(other, "machine", "")) == 0;
}

static int check_free(const json_t *faults, const struct fault_kind *kind, const char *machine, struct error **err)
{
    size_t i;
    json_t *other;
    json_array_foreach (faults, i, other) {
        if (excluded(kind, machine, other)) {
            return error_new(err, STATUS_USAGE, "the fault %s (%s) excludes it: `lab fault end %s` first",
                             json_text_or(other, "fault", ""), json_text_or(other, "id", ""),
                             json_text_or(other, "id", ""));
        }
    }
    return 0;
}

/* The process that ends the fault at its time. */
static int keeper_start(const struct lab *lab, json_t *fault, struct error **err)
{
    struct process keeper = {0};
    _cleanup_free_ char *program = xasprintf("%s/lab", lab->bin);
    _cleanup_free_ char *log = lab_path(lab, "faults.log");
    const char *argv[] = {program, "--name", lab->name, "fault", "keep", json_text(fault, "id"), NULL};
    if (process_spawn(&keeper, argv, log, NULL, NULL, err) != 0) {
        return -1;
    }
    json_object_set_new(fault, "keeper", json_pack("[iI]", keeper.pid, (json_int_t)keeper.start));
    return 0;
}

static int remember(struct lab *lab, json_t *faults, json_t *fault, struct error **err)
{
    json_array_append(faults, fault);
    /* before the keeper looks for it */
    if (list_save(lab, faults, err) != 0) {
        return -1;
    }
    if (json_object_get(fault, "until_ns") == NULL) {
        return 0;
    }
    return keeper_start(lab, fault, err) == 0 ? list_save(lab, faults, err) : -1;
}

int fault_begin(struct lab *lab, const struct fault_kind *kind, const char *machine, const char *argument, long seconds,
                char **id, struct error **err)
{
    _cleanup_close_ int lock = list_lock(lab, err);
    _cleanup_json_ json_t *faults = fault_list(lab);
    struct fault_target target = {lab, machine == NULL ? NULL : lab_find(lab, machine, err), argument};
    if (lock < 0 || (machine != NULL && target.machine == NULL)) {
        return -1;
    }
    const char *name = target.machine == NULL ? NULL : target.machine->name;
    if (target.machine != NULL && !process_alive(&target.machine->leader)) {
        return error_new(err, STATUS_USAGE, "machine %s is off: " MACHINE_OFF, name);
    }
    int64_t until = seconds == 0 ? 0 : record_now() + seconds * NS_PER_S;
    *id = random_id("f-");
    _cleanup_json_ json_t *fault =
        json_pack("{ss ss ss* ss*}", "id", *id, "fault", kind->name, "machine", name, "argument", argument);
    if (until != 0) {
        json_object_set_new(fault, "until_ns", json_integer(until));
    }
    if (check_free(faults, kind, name, err) != 0) {
        return -1;
    }
    if (kind->begin(&target, err) != 0) {
        return error_wrap(err, "fault %s%s%s", kind->name, name == NULL ? "" : " on ", name == NULL ? "" : name);
    }
    record_fault(lab, *id, kind->name, name, true, until, argument);
    if (kind->once) {
        record_fault(lab, *id, kind->name, name, false, 0, argument);
        return 0;
    }
    return remember(lab, faults, fault, err);
}

/* The lab as it is now: a keeper began long ago. */
static int undo(struct lab *lab, const json_t *fault, struct error **err)
{
    _cleanup_(lab_freep) struct lab *now = NULL;
    const struct fault_kind *kind = fault_kind(json_text(fault, "fault"));
    const char *machine = json_text(fault, "machine");
    if (kind == NULL || lab_open(&now, lab->name, err) != 0) {
        return kind == NULL ? error_new(err, STATUS_FILE, "faults.json has an unknown fault") : -1;
    }
    now->package = json_incref(lab->package);
    now->locale = json_incref(lab->locale);
    struct fault_target target = {now, machine == NULL ? NULL : lab_find(now, machine, NULL),
                                  json_text(fault, "argument")};
    return kind->end(&target, err);
}

int fault_end(struct lab *lab, const char *id, struct error **err)
{
    _cleanup_close_ int lock = list_lock(lab, err);
    _cleanup_json_ json_t *faults = fault_list(lab);
    size_t i = find(faults, id);
    if (lock < 0 || i == json_array_size(faults)) {
        return lock < 0 ? -1 : error_new(err, STATUS_USAGE, "there is no fault %s: `lab fault` lists them", id);
    }
    _cleanup_json_ json_t *fault = json_incref(json_array_get(faults, i));
    if (undo(lab, fault, err) != 0) {
        return error_wrap(err, "ending the fault %s", id);
    }
    record_fault(lab, id, json_text_or(fault, "fault", ""), json_text(fault, "machine"), false, 0,
                 json_text(fault, "argument"));
    json_array_remove(faults, i);
    return list_save(lab, faults, err);
}

int fault_keep(struct lab *lab, const char *id, struct error **err)
{
    for (;;) {
        _cleanup_json_ json_t *faults = fault_list(lab);
        size_t i = find(faults, id);
        if (i == json_array_size(faults)) {
            return 0;
        }
        int64_t until = json_integer_value(json_object_get(json_array_get(faults, i), "until_ns"));
        int64_t left = (until - record_now() + NS_PER_MS - 1) / NS_PER_MS;
        if (left <= 0) {
            return fault_end(lab, id, err);
        }
        /* not longer at once: somebody may set the host's clock */
        if (interrupt_sleep(left < 10000 ? left : 10000, deadline_never(), err) != 0) {
            return -1;
        }
    }
}

static struct process keeper_of(const json_t *fault)
{
    const json_t *keeper = json_object_get(fault, "keeper");
    return (struct process){(pid_t)json_integer_value(json_array_get(keeper, 0)),
                            (uint64_t)json_integer_value(json_array_get(keeper, 1))};
}

int fault_end_overdue(struct lab *lab, struct error **err)
{
    _cleanup_json_ json_t *faults = fault_list(lab);
    size_t i;
    json_t *fault;
    json_array_foreach (faults, i, fault) {
        int64_t until = json_integer_value(json_object_get(fault, "until_ns"));
        struct process keeper = keeper_of(fault);
        if (until != 0 && until < record_now() && !process_alive(&keeper) &&
            fault_end(lab, json_text_or(fault, "id", ""), err) != 0) {
            return -1;
        }
    }
    return 0;
}

void faults_drop(const struct lab *lab)
{
    _cleanup_json_ json_t *faults = fault_list(lab);
    size_t i;
    json_t *fault;
    json_array_foreach (faults, i, fault) {
        struct process process = keeper_of(fault);
        if (process.pid != getpid()) {
            process_end(&process, 15, deadline_in(5000));
        }
    }
}

char *fault_environment(const struct lab *lab, const struct machine *machine)
{
    _cleanup_json_ json_t *faults = fault_list(lab);
    size_t i;
    json_t *fault;
    json_array_foreach (faults, i, fault) {
        if (strcmp(json_text_or(fault, "fault", ""), "clock-off") == 0 &&
            strcmp(json_text_or(fault, "machine", ""), machine->name) == 0) {
            return xasprintf("export LD_PRELOAD=" FAKETIME " FAKETIME=%s FAKETIME_DONT_FAKE_MONOTONIC=1; ",
                             json_text_or(fault, "argument", "+0s"));
        }
    }
    return xstrdup("");
}
