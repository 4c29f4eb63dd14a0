/* Faults of one machine. */
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/system/file.h"
#include "tests/lab/lab/cluster/metadata.h"
#include "tests/lab/lab/faults/kinds.h"
#include "tests/lab/lab/machine/agents.h"
#include "tests/lab/lab/machine/cgroup.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/machine/services.h"
#include "tests/lab/lab/record/record.h"

#define LIBFAKETIME "/usr/lib/*/faketime/libfaketime.so.1"

static bool on(const struct fault_target *target)
{
    return target->machine != NULL && process_alive(&target->machine->leader);
}

/* COMMAND by a shell of the machine. */
static int run(const struct fault_target *target, struct error **err, const char *command)
{
    _cleanup_proc_ struct proc_result result = {0};
    return machine_run(target->machine, command, deadline_in(120000), &result, err);
}

/* SIGNAL to the processes of UNIT, which goes into a command line. */
static int signal_unit(const struct fault_target *target, const char *unit, const char *signal, struct error **err)
{
    if (strspn(unit, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@") != strlen(unit)) {
        return error_new(err, STATUS_USAGE, "'%s' is not a name of a unit", unit);
    }
    _cleanup_free_ char *command = xasprintf("systemctl kill --signal=%s %s", signal, unit);
    return run(target, err, command);
}

int machine_kill(const struct fault_target *target, struct error **err)
{
    return signal_unit(target, target->argument, "KILL", err);
}

int machine_docker_hung(const struct fault_target *target, struct error **err)
{
    return signal_unit(target, "docker.service", "STOP", err);
}

int machine_docker_back(const struct fault_target *target, struct error **err)
{
    return on(target) ? signal_unit(target, "docker.service", "CONT", err) : 0;
}

/* The lab's state stays as it is: another program may be in the middle of an event. */
int machine_power_cut(const struct fault_target *target, struct error **err)
{
    struct process leader = target->machine->leader;
    struct process nspawn = target->machine->nspawn;
    (void)err;
    process_end(&leader, SIGKILL, deadline_in(10000));
    if (process_alive(&nspawn)) {
        process_end(&nspawn, SIGTERM, deadline_in(5000));
    }
    cgroup_remove(target->lab, target->machine);
    return 0;
}

static const struct machine *returning; /* for returns() */

static bool returns(const struct machine *machine)
{
    return machine == returning;
}

/* The VM starts again, and AppCenter its services. */
static int power_on(struct lab *lab, struct machine *machine, struct error **err)
{
    _cleanup_proc_ struct proc_result started = {0};
    struct record *boot = record_begin(lab, machine, "boot");
    int r = machine_start(lab, machine, err) != 0 || lab_save(lab, err) != 0 ||
                    machine_wait(lab, machine, deadline_in(300000), err) != 0 || lab_save(lab, err) != 0
                ? -1
                : 0;
    if (record_result(boot, r, err) != 0) {
        return -1;
    }
    returning = machine;
    return metadata_publish(lab, err) == 0 && agents_await(lab, returns, err) == 0 &&
                   (!lab->created || service_run(lab, machine, "start", NULL, &started, err) == 0)
               ? 0
               : -1;
}

int machine_power_back(const struct fault_target *target, struct error **err)
{
    _cleanup_close_ int lock = -1;
    for (struct deadline deadline = deadline_in(900000); lock < 0;) {
        _cleanup_error_ struct error *busy = NULL;
        lock = lab_lock(target->lab, &busy);
        if (lock < 0 && (deadline_left(deadline) == 0 || interrupt_sleep(500, deadline, NULL) != 0)) {
            return error_move(err, &busy);
        }
    }
    /* as the event that held the lock left it */
    _cleanup_(lab_freep) struct lab *lab = NULL;
    if (lab_open(&lab, target->lab->name, err) != 0) {
        return -1;
    }
    lab->package = json_incref(target->lab->package);
    lab->locale = json_incref(target->lab->locale);
    struct machine *machine = target->machine == NULL ? NULL : lab_find(lab, target->machine->name, NULL);
    if (machine == NULL || machine->instance_id == NULL || process_alive(&machine->nspawn)) {
        return 0; /* gone, stopped, or up again */
    }
    return power_on(lab, machine, err);
}

/* Rules of the machine's own network, at both ends of its card: in also what is for its pods, out also what is theirs.
 */
static int net_rule(const struct fault_target *target, const char *table, const char *change, const char *chain,
                    const char *direction, struct error **err)
{
    _cleanup_free_ char *pid = xasprintf("%d", target->machine->leader.pid);
    return proc_exec(deadline_in(90000), err, "nsenter", "-t", pid, "-n", "--", "iptables", "-w", "60", "-t", table,
                     change, chain, direction, "eth0", "-j", "DROP", NULL);
}

int machine_net_cut(const struct fault_target *target, struct error **err)
{
    const char *way = target->argument == NULL ? "both" : target->argument;
    bool in = strcmp(way, "in") == 0 || strcmp(way, "both") == 0;
    bool out = strcmp(way, "out") == 0 || strcmp(way, "both") == 0;
    if (!in && !out) {
        return error_new(err, STATUS_USAGE, "'%s': in, out or both is required", way);
    }
    return (!in || net_rule(target, "raw", "-I", "PREROUTING", "-i", err) == 0) &&
                   (!out || net_rule(target, "mangle", "-I", "POSTROUTING", "-o", err) == 0)
               ? 0
               : -1;
}

int machine_net_back(const struct fault_target *target, struct error **err)
{
    if (!on(target)) {
        return 0;
    }
    bool in = net_rule(target, "raw", "-C", "PREROUTING", "-i", NULL) == 0;
    bool out = net_rule(target, "mangle", "-C", "POSTROUTING", "-o", NULL) == 0;
    return (!in || net_rule(target, "raw", "-D", "PREROUTING", "-i", err) == 0) &&
                   (!out || net_rule(target, "mangle", "-D", "POSTROUTING", "-o", err) == 0)
               ? 0
               : -1;
}

#define FULL "/run/k8s-lab/full"

/* The volume is a directory of this host, which must not be filled: a layer without room is laid over it. */
int machine_disk_full(const struct fault_target *target, struct error **err)
{
    return run(target, err,
               "set -e; mkdir -p " FULL "; mount -t tmpfs -o size=64k full " FULL "; mkdir " FULL "/upper " FULL
               "/work; "
               "mount -t overlay -o lowerdir=/data,upperdir=" FULL "/upper,workdir=" FULL "/work full /data; "
               "head -c 1M /dev/zero >" FULL "/filling 2>/dev/null || true");
}

int machine_disk_back(const struct fault_target *target, struct error **err)
{
    return on(target) ? run(target, err,
                            "set -e; ! grep -q '^full /data overlay' /proc/mounts || umount -l /data; "
                            "! grep -q '^full " FULL "' /proc/mounts || umount -l " FULL)
                      : 0;
}

/* A time namespace has its own monotonic clock only, and CLOCK_REALTIME is the host's: what the hooks see goes through
 * a library that is loaded before theirs. */
int machine_clock_off(const struct fault_target *target, struct error **err)
{
    _cleanup_free_ char *to = xasprintf("/proc/%d/root" FAKETIME, target->machine->leader.pid);
    _cleanup_free_ char *data = NULL;
    size_t len = 0;
    const char *by = target->argument;
    size_t sign = *by == '+' || *by == '-';
    size_t digits = strspn(by + sign, "0123456789");
    if (digits == 0 || by[sign + digits] == '\0' || strchr("smhdy", by[sign + digits]) == NULL ||
        by[sign + digits + 1] != '\0') {
        return error_new(err, STATUS_USAGE, "'%s': by how much is required, as +1y, -3h, +90d, -300s", by);
    }
    glob_t found;
    if (glob(LIBFAKETIME, 0, NULL, &found) != 0) {
        return error_new(err, STATUS_USAGE, "there is no " LIBFAKETIME ": apt-get install libfaketime");
    }
    int r = file_read(found.gl_pathv[0], 0, &data, &len, err);
    globfree(&found);
    if (r != 0) {
        return -1;
    }
    struct file_spec spec = {.path = to, .data = data, .len = len, .mode = 0755};
    return file_put(&spec, NULL, err);
}

int machine_clock_back(const struct fault_target *target, struct error **err)
{
    if (!on(target)) {
        return 0;
    }
    _cleanup_free_ char *path = xasprintf("/proc/%d/root" FAKETIME, target->machine->leader.pid);
    return unlink(path) == 0 || errno == ENOENT ? 0 : error_errno(err, STATUS_FILE, errno, "removing %s", path);
}
