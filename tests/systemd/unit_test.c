/* Needs root and a machine whose process 1 is systemd: skipped elsewhere. tests/e2e/systemd.sh runs it inside a machine
 * of the lab. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/system/proc.h"
#include "lib/system/unit.h"

#define UNIT_DIR "/run/systemd/system"

static struct units *units;

static void write_unit(const char *name, const char *service)
{
    _cleanup_free_ char *path = xasprintf(UNIT_DIR "/%s", name);
    _cleanup_fclose_ FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "[Service]\n%s\n[Install]\nWantedBy=multi-user.target\n", service) > 0);
}

static struct deadline soon(void)
{
    return deadline_in(30000);
}

static const struct {
    const char *name, *service;
} made[] = {
    {"hooks-test-sleep.service", "ExecStart=/bin/sh -c 'echo I am up; exec sleep 600'"},
    {"hooks-test-fail.service", "Type=oneshot\nExecStart=/bin/sh -c 'echo my disk is full >&2; exit 3'"},
    {"hooks-test-slow.service", "Type=oneshot\nExecStart=/bin/sleep 600"},
    {"hooks-test-stubborn.service",
     "Type=notify\nNotifyAccess=all\n"
     "ExecStart=/bin/sh -c 'trap \"\" TERM; systemd-notify --ready; while :; do sleep 600; done'"},
    {"hooks-test-dying.service", "Type=notify\nExecStart=/bin/false"},
};

static int set_up(void **state)
{
    (void)state;
    if (sd_booted() <= 0 || geteuid() != 0) {
        return 0;
    }
    for (size_t i = 0; i < ELEMENTS(made); i++) {
        write_unit(made[i].name, made[i].service);
    }
    return units_open(&units, deadline_in(300000), NULL) < 0 || units_reload(units, soon(), NULL) < 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; units != NULL && i < ELEMENTS(made); i++) {
        (void)unit_kill(units, made[i].name, SIGKILL, NULL);
        (void)unit_reset_failed(units, made[i].name, NULL);
        _cleanup_free_ char *path = xasprintf(UNIT_DIR "/%s", made[i].name);
        (void)unlink(path);
    }
    if (units != NULL) {
        (void)units_reload(units, soon(), NULL);
    }
    units_free(units);
    return 0;
}

#define NEEDS_SYSTEMD()                                                                                                \
    do {                                                                                                               \
        (void)state;                                                                                                   \
        if (units == NULL) {                                                                                           \
            skip();                                                                                                    \
        }                                                                                                              \
    } while (0)

static void a_unit_starts_restarts_and_stops(void **state)
{
    NEEDS_SYSTEMD();
    const char *name = "hooks-test-sleep.service";
    struct unit_state before;
    struct unit_state after;
    assert_int_equal(unit_active(units, name, NULL), 0);
    assert_int_equal(unit_start(units, name, soon(), NULL), 0);
    assert_int_equal(unit_active(units, name, NULL), 1);
    assert_int_equal(unit_state(units, name, &before, NULL), 0);
    assert_string_equal(before.load, "loaded");
    assert_string_equal(before.sub, "running");
    assert_string_equal(before.file, "disabled");
    assert_true(before.main_pid > 1);
    assert_true(before.active_since_us > 0);
    assert_int_equal(unit_start(units, name, soon(), NULL), 0);
    assert_int_equal(unit_restart(units, name, soon(), NULL), 0);
    assert_int_equal(unit_state(units, name, &after, NULL), 0);
    assert_int_not_equal(before.main_pid, after.main_pid);
    assert_int_equal(unit_stop(units, name, soon(), NULL), 0);
    assert_int_equal(unit_state(units, name, &after, NULL), 0);
    assert_string_equal(after.active, "inactive");
    assert_int_equal(after.main_pid, 0);
    assert_int_equal(unit_stop(units, name, soon(), NULL), 0);
}

static void a_failure_brings_the_units_own_words(void **state)
{
    NEEDS_SYSTEMD();
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(unit_start(units, "hooks-test-fail.service", soon(), &err), -1);
    assert_int_equal(err->status, STATUS_UNIT);
    assert_non_null(strstr(err->message, "starting hooks-test-fail.service"));
    assert_non_null(strstr(err->message, "\"failed\""));
    assert_non_null(strstr(err->message, "my disk is full"));
    assert_int_equal(unit_reset_failed(units, "hooks-test-fail.service", NULL), 0);
    struct unit_state state_now;
    assert_int_equal(unit_state(units, "hooks-test-fail.service", &state_now, NULL), 0);
    assert_string_equal(state_now.active, "inactive");
}

static void an_absent_unit_is_told(void **state)
{
    NEEDS_SYSTEMD();
    _cleanup_error_ struct error *err = NULL;
    const char *name = "hooks-test-absent.service";
    struct unit_state absent;
    assert_int_equal(unit_state(units, name, &absent, NULL), 0);
    assert_string_equal(absent.load, "not-found");
    assert_int_equal(unit_active(units, name, NULL), 0);
    assert_int_equal(unit_start(units, name, soon(), &err), -1);
    assert_int_equal(err->status, STATUS_UNIT);
    assert_non_null(strstr(err->message, "not found"));
    assert_int_equal(unit_stop(units, name, soon(), NULL), 0);
    assert_int_equal(unit_reset_failed(units, name, NULL), 0);
}

static void the_deadline_is_kept(void **state)
{
    NEEDS_SYSTEMD();
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(unit_start(units, "hooks-test-slow.service", deadline_in(200), &err), -1);
    assert_int_equal(err->status, STATUS_DEADLINE);
    assert_non_null(strstr(err->message, "activating"));
    assert_int_equal(unit_stop(units, "hooks-test-slow.service", soon(), NULL), 0);
}

static void a_stubborn_unit_can_be_killed(void **state)
{
    NEEDS_SYSTEMD();
    const char *name = "hooks-test-stubborn.service";
    assert_int_equal(unit_start(units, name, soon(), NULL), 0);
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(unit_stop(units, name, deadline_in(200), &err), -1);
    assert_int_equal(err->status, STATUS_DEADLINE);
    assert_int_equal(unit_kill(units, name, SIGKILL, NULL), 0);
    (void)unit_stop(units, name, soon(), NULL);
    assert_int_equal(unit_active(units, name, NULL), 0);
}

static void an_active_unit_is_waited_for(void **state)
{
    NEEDS_SYSTEMD();
    const char *name = "hooks-test-sleep.service";
    const char *const argv[] = {
        "systemd-run", "--collect", "--quiet", "--on-active=200ms", "--timer-property=AccuracySec=10ms", "systemctl",
        "start",       name,        NULL};
    assert_int_equal(proc_run(&(struct proc){.argv = argv, .deadline = soon()}, NULL, NULL), 0);
    assert_int_equal(unit_wait_active(units, name, soon(), NULL), 0);
    assert_int_equal(unit_active(units, name, NULL), 1);
    assert_int_equal(unit_stop(units, name, soon(), NULL), 0);
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(unit_wait_active(units, name, deadline_in(100), &err), -1);
    assert_int_equal(err->status, STATUS_DEADLINE);
    error_freep(&err);
    (void)unit_start(units, "hooks-test-dying.service", soon(), NULL);
    assert_int_equal(unit_wait_active(units, "hooks-test-dying.service", soon(), &err), -1);
    assert_int_equal(err->status, STATUS_UNIT);
}

static void assert_file_state(const char *name, const char *expected)
{
    struct unit_state now;
    assert_int_equal(unit_state(units, name, &now, NULL), 0);
    assert_string_equal(now.file, expected);
}

static void unit_files_are_switched(void **state)
{
    NEEDS_SYSTEMD();
    const char *name = "hooks-test-enable.service";
    const char *path = "/etc/systemd/system/hooks-test-enable.service";
    FILE *file = fopen("/lib/systemd/system/hooks-test-enable.service", "w");
    assert_non_null(file);
    assert_true(fputs("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    for (int times = 0; times < 2; times++) {
        assert_int_equal(unit_enable(units, name, NULL), 0);
        assert_file_state(name, "enabled");
    }
    assert_int_equal(unit_disable(units, name, NULL), 0);
    assert_file_state(name, "disabled");
    for (int times = 0; times < 2; times++) {
        assert_int_equal(unit_mask(units, name, NULL), 0);
        assert_file_state(name, "masked");
    }
    char target[32] = "";
    assert_true(readlink(path, target, sizeof target - 1) > 0);
    assert_string_equal(target, "/dev/null");
    assert_int_equal(unit_unmask(units, name, NULL), 0);
    assert_file_state(name, "disabled");
    assert_int_equal(unlink("/lib/systemd/system/hooks-test-enable.service"), 0);
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(unit_enable(units, "hooks-test-absent.service", &err), -1);
    assert_int_equal(err->status, STATUS_UNIT);
}

static void the_journal_has_our_fields(void **state)
{
    NEEDS_SYSTEMD();
    log_open("hooks-test", "node", "start", LOG_LEVEL_ERROR);
    log_set_step("docker");
    log_timed(LOG_LEVEL_INFO, 42, "step done by %d", (int)getpid());
    log_debug("never there %d", (int)getpid());
    log_set_step(NULL);
    _cleanup_free_ char *pid = xasprintf("_PID=%d", (int)getpid());
    const char *const sync[] = {"journalctl", "--sync", NULL};
    assert_int_equal(proc_run(&(struct proc){.argv = sync, .deadline = soon()}, NULL, NULL), 0);
    const char *const argv[] = {"journalctl", "-o", "verbose", "-q", "-t", "hooks-test", pid, NULL};
    _cleanup_proc_ struct proc_result result = {0};
    const struct proc proc = {.argv = argv, .keep_output = true, .deadline = soon()};
    assert_int_equal(proc_run(&proc, &result, NULL), 0);
    static const char *const fields[] = {"ROLE=node", "EVENT=start", "STEP=docker", "MS=42", "PRIORITY=6"};
    for (size_t i = 0; i < ELEMENTS(fields); i++) {
        assert_non_null(strstr(result.output, fields[i]));
    }
    assert_null(strstr(result.output, "never there"));
}

static void the_tail_is_the_last_messages(void **state)
{
    NEEDS_SYSTEMD();
    _cleanup_free_ char *none = journal_tail("hooks-test-absent.service", 5);
    assert_string_equal(none, "");
    assert_int_equal(unit_start(units, "hooks-test-fail.service", soon(), NULL), -1);
    _cleanup_free_ char *tail = journal_tail("hooks-test-fail.service", 3);
    size_t lines = 0;
    for (const char *c = tail; *c != '\0'; c++) {
        lines += *c == '\n';
    }
    assert_int_equal(lines, 3);
    (void)unit_reset_failed(units, "hooks-test-fail.service", NULL);
}

/* Last: a signal once taken stays. */
static void a_signal_ends_the_wait(void **state)
{
    NEEDS_SYSTEMD();
    assert_int_equal(interrupt_open(NULL), 0);
    const char *const argv[] = {
        "systemd-run", "--collect", "--quiet", "--on-active=300ms", "kill", "-TERM", xasprintf("%d", (int)getpid()),
        NULL};
    assert_int_equal(proc_run(&(struct proc){.argv = argv, .deadline = soon()}, NULL, NULL), 0);
    free((void *)argv[6]);
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(unit_start(units, "hooks-test-slow.service", soon(), &err), -1);
    assert_int_equal(err->status, STATUS_INTERRUPTED);
    assert_non_null(strstr(err->message, "SIGTERM"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unit_starts_restarts_and_stops), cmocka_unit_test(a_failure_brings_the_units_own_words),
        cmocka_unit_test(an_absent_unit_is_told),           cmocka_unit_test(the_deadline_is_kept),
        cmocka_unit_test(a_stubborn_unit_can_be_killed),    cmocka_unit_test(an_active_unit_is_waited_for),
        cmocka_unit_test(unit_files_are_switched),          cmocka_unit_test(the_journal_has_our_fields),
        cmocka_unit_test(the_tail_is_the_last_messages),    cmocka_unit_test(a_signal_ends_the_wait),
    };
    return cmocka_run_group_tests_name("unit", tests, set_up, tear_down);
}
