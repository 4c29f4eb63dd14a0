#include "lib/system/unit.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "lib/core/interrupt.h"
#include "lib/system/proc.h"

/* org.freedesktop.systemd1(5) */
#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER DESTINATION ".Manager"
#define DESTINATION_UNITS MANAGER_PATH "/unit"
#define UNIT DESTINATION ".Unit"
#define SERVICE DESTINATION ".Service"

enum { CALL_MS = 25000, SYNC_MS = 2000, TAIL_LINES = 10 };

struct units {
    sd_bus *bus;
    struct deadline deadline;
    bool subscribed;
};

static void messagep(sd_bus_message **message)
{
    sd_bus_message_unref(*message);
}
static void slotp(sd_bus_slot **slot)
{
    sd_bus_slot_unref(*slot);
}

#define _cleanup_message_ _cleanup_(messagep)
#define _cleanup_slot_ _cleanup_(slotp)
#define _cleanup_bus_error_ _cleanup_(sd_bus_error_free)

/* Root talks to the manager itself: that works before the bus daemon runs and while it is down. */
static int open_private(sd_bus **bus)
{
    if (geteuid() != 0 || sd_bus_new(bus) < 0) {
        return -1;
    }
    if (sd_bus_set_address(*bus, "unix:path=/run/systemd/private") < 0 || sd_bus_start(*bus) < 0) {
        *bus = sd_bus_unref(*bus);
        return -1;
    }
    return 0;
}

static uint64_t call_timeout(struct deadline deadline)
{
    int64_t left = deadline_left(deadline);
    /* 0 would mean the library's default. */
    return left < 1 ? 1 : left > CALL_MS ? (uint64_t)CALL_MS * 1000 : (uint64_t)left * 1000;
}

/* For the calls that have no deadline of their own. */
static sd_bus *limited(struct units *units)
{
    (void)sd_bus_set_method_call_timeout(units->bus, call_timeout(units->deadline));
    return units->bus;
}

/* Until both sides know each other, for which the library waits for a minute and a half, whatever a call's timeout is.
 */
static int wait_connected(sd_bus *bus, struct deadline deadline, struct error **err)
{
    int r = sd_bus_is_ready(bus);
    while (r == 0) {
        int64_t left = deadline_left(deadline);
        struct pollfd fds[] = {
            {.fd = sd_bus_get_fd(bus), .events = (short)sd_bus_get_events(bus)},
            {.fd = interrupt_fd(), .events = POLLIN},
        };
        r = sd_bus_process(bus, NULL);
        if (r == 0 && left == 0) {
            return error_new(err, STATUS_DEADLINE, "connecting to systemd: no answer in time");
        }
        if (r == 0) {
            (void)poll(fds, ELEMENTS(fds), left > INT_MAX ? INT_MAX : (int)left);
        }
        if (interrupt_check(err) < 0) {
            return error_wrap(err, "connecting to systemd");
        }
        r = r < 0 ? r : sd_bus_is_ready(bus);
    }
    return r < 0 ? error_errno(err, STATUS_UNIT, -r, "connecting to systemd") : 0;
}

int units_open(struct units **units, struct deadline deadline, struct error **err)
{
    sd_bus *bus = NULL;
    if (open_private(&bus) < 0) {
        int r = sd_bus_open_system(&bus);
        if (r < 0) {
            return error_errno(err, STATUS_UNIT, -r, "connecting to systemd; is it this machine's process 1?");
        }
    }
    if (wait_connected(bus, deadline_earlier(deadline, deadline_in(CALL_MS)), err) < 0) {
        sd_bus_close_unref(bus);
        return -1;
    }
    *units = xcalloc(1, sizeof **units);
    **units = (struct units){.bus = bus, .deadline = deadline};
    return 0;
}

/* Nothing is flushed: every call's answer was waited for. */
void units_free(struct units *units)
{
    if (units != NULL) {
        sd_bus_close_unref(units->bus);
        free(units);
    }
}

void units_freep(struct units **units)
{
    units_free(*units);
    *units = NULL;
}

static int call_failed(int r, const sd_bus_error *error, const char *method, const char *name, struct error **err)
{
    const char *reason = error->message != NULL ? error->message : strerrordesc_np(-r);
    return error_new(err, r == -ETIMEDOUT ? STATUS_DEADLINE : STATUS_UNIT, "%s %s: systemd answers: %s", method, name,
                     reason);
}

/* MESSAGE is called and its reply kept in *reply. Returns sd-bus's own result, with its error, for callers that look at
 * the error's name. */
static int call(struct units *units, sd_bus_message *message, uint64_t usec, sd_bus_error *error,
                sd_bus_message **reply)
{
    return sd_bus_call(units->bus, message, usec, error, reply);
}

static sd_bus_message *new_call(struct units *units, const char *method)
{
    sd_bus_message *message = NULL;
    if (sd_bus_message_new_method_call(units->bus, &message, DESTINATION, MANAGER_PATH, MANAGER, method) < 0) {
        return NULL;
    }
    return message;
}

static int subscribe(struct units *units, struct error **err)
{
    if (units->subscribed) {
        return 0;
    }
    _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_call_method(limited(units), DESTINATION, MANAGER_PATH, MANAGER, "Subscribe", &error, NULL, NULL);
    if (r < 0) {
        return call_failed(r, &error, "Subscribe", "to job results", err);
    }
    units->subscribed = true;
    return 0;
}

/* Handles what has come in, then waits for more: returns once something came, 0; or -1 by deadline or signal. */
static int wait_signal(struct units *units, struct deadline deadline, const char *what, const char *name,
                       struct error **err)
{
    int r = sd_bus_process(units->bus, NULL);
    if (r < 0) {
        return error_errno(err, STATUS_UNIT, -r, "%s %s: the connection to systemd was closed", what, name);
    }
    if (r > 0) {
        return 0;
    }
    struct pollfd fds[] = {
        {.fd = sd_bus_get_fd(units->bus), .events = (short)sd_bus_get_events(units->bus)},
        {.fd = interrupt_fd(), .events = POLLIN},
    };
    int64_t left = deadline_left(deadline);
    if (left == 0) {
        return error_new(err, STATUS_DEADLINE, "%s %s: not done in time", what, name);
    }
    (void)poll(fds, ELEMENTS(fds), left > INT_MAX ? INT_MAX : (int)left);
    return interrupt_check(err) < 0 ? error_wrap(err, "%s %s", what, name) : 0;
}

static int get_string(struct units *units, const char *path, const char *property, char *to, size_t size,
                      sd_bus_error *error)
{
    _cleanup_free_ char *value = NULL;
    int r = sd_bus_get_property_string(limited(units), DESTINATION, path, UNIT, property, error, &value);
    if (r >= 0) {
        (void)snprintf(to, size, "%s", value);
    }
    return r;
}

static int unit_path(const char *name, char **path, struct error **err)
{
    int r = sd_bus_path_encode(DESTINATION_UNITS, name, path);
    return r < 0 ? error_errno(err, STATUS_UNIT, -r, "making the object path of %s", name) : 0;
}

int unit_state(struct units *units, const char *name, struct unit_state *state, struct error **err)
{
    struct unit_state now = {0};
    _cleanup_free_ char *path = NULL;
    if (unit_path(name, &path, err) < 0) {
        return -1;
    }
    _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = get_string(units, path, "LoadState", now.load, sizeof now.load, &error);
    r = r < 0 ? r : get_string(units, path, "ActiveState", now.active, sizeof now.active, &error);
    r = r < 0 ? r : get_string(units, path, "SubState", now.sub, sizeof now.sub, &error);
    r = r < 0 ? r : get_string(units, path, "UnitFileState", now.file, sizeof now.file, &error);
    if (r >= 0 && strcmp(now.active, "active") == 0) {
        r = sd_bus_get_property_trivial(limited(units), DESTINATION, path, UNIT, "ActiveEnterTimestamp", &error, 't',
                                        &now.active_since_us);
    }
    if (r >= 0 && str_ends(name, ".service")) {
        r = sd_bus_get_property_trivial(limited(units), DESTINATION, path, SERVICE, "MainPID", &error, 'u',
                                        &now.main_pid);
    }
    if (r < 0) {
        return call_failed(r, &error, "reading the state of", name, err);
    }
    *state = now;
    return 0;
}

int unit_active(struct units *units, const char *name, struct error **err)
{
    struct unit_state state;
    return unit_state(units, name, &state, err) < 0 ? -1 : strcmp(state.active, "active") == 0;
}

struct job {
    const char *path;
    char result[24];
};

static int on_job_removed(sd_bus_message *message, void *data, sd_bus_error *error)
{
    struct job *job = data;
    uint32_t id = 0;
    const char *path = NULL;
    const char *unit = NULL;
    const char *result = NULL;
    (void)error;
    if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) >= 0 && job->path != NULL &&
        strcmp(path, job->path) == 0) {
        (void)snprintf(job->result, sizeof job->result, "%s", result);
    }
    return 0;
}

static int with_journal(struct error **err, int status, struct units *units, const char *what, const char *name,
                        const char *reason)
{
    struct unit_state state = {.active = "unknown"};
    (void)unit_state(units, name, &state, NULL);
    /* The unit's last messages may not be in the journal yet. */
    (void)proc_exec(deadline_in(SYNC_MS), NULL, "journalctl", "--sync", NULL);
    _cleanup_free_ char *tail = journal_tail(name, TAIL_LINES);
    return error_new(err, status, "%s %s: %s; it is %s (%s)%s%s", what, name, reason, state.active, state.sub,
                     *tail == '\0' ? ", and the journal has nothing of it" : "; its last messages:\n", tail);
}

static int await_job(struct units *units, struct job *job, const char *what, const char *name, struct deadline deadline,
                     struct error **err)
{
    while (job->result[0] == '\0') {
        _cleanup_error_ struct error *why = NULL;
        if (wait_signal(units, deadline, what, name, &why) == 0) {
            continue;
        }
        if (why->status == STATUS_DEADLINE) {
            return with_journal(err, STATUS_DEADLINE, units, what, name, "not done in time");
        }
        return error_move(err, &why);
    }
    if (strcmp(job->result, "done") == 0) {
        return 0;
    }
    _cleanup_free_ char *reason = xasprintf("the job's result is \"%s\"", job->result);
    return with_journal(err, STATUS_UNIT, units, what, name, reason);
}

/* METHOD is StartUnit and the like. The result is listened for before the job is queued: it cannot be missed. */
static int run_job(struct units *units, const char *method, const char *what, const char *name,
                   struct deadline deadline, struct error **err)
{
    if (interrupt_check(err) < 0 || subscribe(units, err) < 0) {
        return -1;
    }
    struct job job = {0};
    _cleanup_slot_ sd_bus_slot *slot = NULL;
    int r = sd_bus_match_signal(units->bus, &slot, NULL, MANAGER_PATH, MANAGER, "JobRemoved", on_job_removed, &job);
    _cleanup_message_ sd_bus_message *message = new_call(units, method);
    if (r < 0 || message == NULL || (r = sd_bus_message_append(message, "ss", name, "replace")) < 0) {
        return error_errno(err, STATUS_UNIT, r < 0 ? -r : ENOMEM, "%s %s: querying systemd", what, name);
    }
    _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_message_ sd_bus_message *reply = NULL;
    r = call(units, message, call_timeout(deadline), &error, &reply);
    if (r < 0 && sd_bus_error_has_name(&error, DESTINATION ".NoSuchUnit") && strcmp(method, "StopUnit") == 0) {
        return 0;
    }
    if (r < 0 || (r = sd_bus_message_read(reply, "o", &job.path)) < 0) {
        return call_failed(r, &error, what, name, err);
    }
    return await_job(units, &job, what, name, deadline, err);
}

int unit_start(struct units *units, const char *name, struct deadline deadline, struct error **err)
{
    return run_job(units, "StartUnit", "starting", name, deadline, err);
}

int unit_stop(struct units *units, const char *name, struct deadline deadline, struct error **err)
{
    return run_job(units, "StopUnit", "stopping", name, deadline, err);
}

int unit_restart(struct units *units, const char *name, struct deadline deadline, struct error **err)
{
    return run_job(units, "RestartUnit", "restarting", name, deadline, err);
}

int unit_kill(struct units *units, const char *name, int signal, struct error **err)
{
    _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_call_method(limited(units), DESTINATION, MANAGER_PATH, MANAGER, "KillUnit", &error, NULL, "ssi",
                               name, "all", (int32_t)signal);
    return r < 0 ? call_failed(r, &error, "sending a signal to", name, err) : 0;
}

int unit_reset_failed(struct units *units, const char *name, struct error **err)
{
    _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_call_method(limited(units), DESTINATION, MANAGER_PATH, MANAGER, "ResetFailedUnit", &error, NULL, "s",
                               name);
    if (r < 0 && !sd_bus_error_has_name(&error, DESTINATION ".NoSuchUnit")) {
        return call_failed(r, &error, "resetting the failed state of", name, err);
    }
    return 0;
}

static int on_change(sd_bus_message *message, void *data, sd_bus_error *error)
{
    (void)message;
    (void)error;
    *(bool *)data = true;
    return 0;
}

int unit_wait_active(struct units *units, const char *name, struct deadline deadline, struct error **err)
{
    _cleanup_free_ char *path = NULL;
    if (subscribe(units, err) < 0 || unit_path(name, &path, err) < 0) {
        return -1;
    }
    bool changed = true;
    _cleanup_slot_ sd_bus_slot *slot = NULL;
    int r = sd_bus_match_signal(units->bus, &slot, NULL, path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                on_change, &changed);
    if (r < 0) {
        return error_errno(err, STATUS_UNIT, -r, "waiting for %s: listening to systemd", name);
    }
    for (;;) {
        struct unit_state state = {0};
        if (changed && unit_state(units, name, &state, err) < 0) {
            return -1;
        }
        if (strcmp(state.active, "active") == 0) {
            return 0;
        }
        if (strcmp(state.active, "failed") == 0) {
            return with_journal(err, STATUS_UNIT, units, "waiting for", name, "it failed");
        }
        changed = false;
        _cleanup_error_ struct error *why = NULL;
        if (wait_signal(units, deadline, "waiting for", name, &why) == 0) {
            continue;
        }
        return why->status == STATUS_DEADLINE
                   ? with_journal(err, STATUS_DEADLINE, units, "waiting for", name, "not active in time")
                   : error_move(err, &why);
    }
}

int units_reload(struct units *units, struct deadline deadline, struct error **err)
{
    _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_message_ sd_bus_message *message = new_call(units, "Reload");
    if (message == NULL) {
        return error_errno(err, STATUS_UNIT, ENOMEM, "reloading systemd");
    }
    int r = call(units, message, call_timeout(deadline), &error, NULL);
    return r < 0 ? call_failed(r, &error, "Reload", "of systemd", err) : 0;
}

enum flags { ONLY_RUNTIME, RUNTIME_AND_FORCE };

/* METHOD takes unit files, whether only until the next boot (never), and, some, whether to replace links in the way. */
static int change_file(struct units *units, const char *method, enum flags flags, const char *name, struct error **err)
{
    _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_message_ sd_bus_message *reply = NULL;
    _cleanup_message_ sd_bus_message *message = new_call(units, method);
    int r = message == NULL ? -ENOMEM : sd_bus_message_append(message, "asb", 1, name, 0);
    if (r >= 0 && flags == RUNTIME_AND_FORCE) {
        r = sd_bus_message_append(message, "b", 1);
    }
    r = r < 0 ? r : call(units, message, call_timeout(units->deadline), &error, &reply);
    if (r < 0) {
        return call_failed(r, &error, method, name, err);
    }
    /* The list of links made or removed; EnableUnitFiles puts a boolean before it. */
    if (strcmp(method, "EnableUnitFiles") == 0) {
        (void)sd_bus_message_skip(reply, "b");
    }
    bool changed = sd_bus_message_enter_container(reply, 'a', "(sss)") >= 0 && sd_bus_message_at_end(reply, 0) == 0;
    return changed ? units_reload(units, units->deadline, err) : 0;
}

int unit_enable(struct units *units, const char *name, struct error **err)
{
    return change_file(units, "EnableUnitFiles", RUNTIME_AND_FORCE, name, err);
}

int unit_disable(struct units *units, const char *name, struct error **err)
{
    return change_file(units, "DisableUnitFiles", ONLY_RUNTIME, name, err);
}

int unit_mask(struct units *units, const char *name, struct error **err)
{
    return change_file(units, "MaskUnitFiles", RUNTIME_AND_FORCE, name, err);
}

int unit_unmask(struct units *units, const char *name, struct error **err)
{
    return change_file(units, "UnmaskUnitFiles", ONLY_RUNTIME, name, err);
}
