#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/core/util.h"

/* A signal that was taken stays taken for the life of a process, so each case is a process of its own. */
static int in_child(int (*body)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(body());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool readable(void)
{
    struct pollfd fd = {.fd = interrupt_fd(), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static int each_signal_is_kept(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    static const char *const names[] = {"SIGTERM", "SIGINT", "SIGHUP"};
    for (size_t i = 0; i < ELEMENTS(signals); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            _cleanup_error_ struct error *err = NULL;
            bool before = interrupt_open(NULL) == 0 && !interrupted() && !readable() && interrupt_check(&err) == 0;
            (void)kill(getpid(), signals[i]);
            /* Twice: looking does not use it up. */
            bool after = interrupted() && readable() && interrupted() && readable();
            _exit(before && after && interrupt_check(&err) == -1 && err->status == STATUS_INTERRUPTED &&
                          strstr(err->message, names[i]) != NULL
                      ? 0
                      : 1);
        }
        int status = 0;
        if (waitpid(pid, &status, 0) != pid || status != 0) {
            return 1;
        }
    }
    return 0;
}

static void a_signal_that_came_is_kept_and_named(void **state)
{
    (void)state;
    assert_int_equal(in_child(each_signal_is_kept), 0);
}

static int nothing_before_open(void)
{
    return interrupt_fd() == -1 && !interrupted() && interrupt_check(NULL) == 0 ? 0 : 1;
}

static void no_signal_is_reported_before_interrupt_open(void **state)
{
    (void)state;
    assert_int_equal(in_child(nothing_before_open), 0);
}

static int opened_twice(void)
{
    int r = interrupt_open(NULL);
    int fd = interrupt_fd();
    return r == 0 && interrupt_open(NULL) == 0 && interrupt_fd() == fd ? 0 : 1;
}

static void opening_again_is_harmless(void **state)
{
    (void)state;
    assert_int_equal(in_child(opened_twice), 0);
}

static int ignored_hangup(void)
{
    (void)signal(SIGHUP, SIG_IGN);
    if (interrupt_open(NULL) < 0) {
        return 1;
    }
    (void)kill(getpid(), SIGHUP);
    return interrupted() || readable() ? 1 : 0;
}

static void a_signal_ignored_by_the_caller_stays_ignored(void **state)
{
    (void)state;
    assert_int_equal(in_child(ignored_hangup), 0);
}

static int child_with_default_signals(void)
{
    if (interrupt_open(NULL) < 0) {
        return 1;
    }
    interrupt_child();
    (void)kill(getpid(), SIGTERM);
    return 0;
}

static void a_child_can_be_ended_again(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_with_default_signals), -SIGTERM);
}

static int sleep_is_interrupted(void)
{
    _cleanup_error_ struct error *err = NULL;
    if (interrupt_open(NULL) < 0) {
        return 1;
    }
    int64_t started = clock_ms();
    if (interrupt_sleep(50, deadline_never(), &err) != 0 || clock_ms() - started < 50) {
        return 2;
    }
    started = clock_ms();
    if (interrupt_sleep(600000, deadline_in(20), &err) != 0 || clock_ms() - started > 300000) {
        return 3;
    }
    started = clock_ms();
    (void)kill(getpid(), SIGTERM);
    return interrupt_sleep(600000, deadline_never(), &err) == -1 && err->status == STATUS_INTERRUPTED &&
                   clock_ms() - started < 300000
               ? 0
               : 4;
}

static void a_sleep_ends_at_the_deadline_and_with_a_signal(void **state)
{
    (void)state;
    assert_int_equal(in_child(sleep_is_interrupted), 0);
}

static int readable_is_told(void)
{
    _cleanup_error_ struct error *err = NULL;
    int fds[2];
    if (pipe(fds) < 0 || interrupt_open(NULL) < 0 || interrupt_wait_readable(fds[0], deadline_in(20), &err) != 0) {
        return 1;
    }
    if (write(fds[1], "", 1) != 1 || interrupt_wait_readable(fds[0], deadline_never(), &err) != 1) {
        return 2;
    }
    /* what is there is told after the deadline too */
    if (interrupt_wait_readable(fds[0], deadline_in(0), &err) != 1) {
        return 3;
    }
    (void)kill(getpid(), SIGTERM);
    return interrupt_wait_readable(fds[0], deadline_never(), &err) == -1 && err->status == STATUS_INTERRUPTED ? 0 : 4;
}

static void waiting_for_a_descriptor_returns_why_it_returned(void **state)
{
    (void)state;
    assert_int_equal(in_child(readable_is_told), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_signal_is_reported_before_interrupt_open),
        cmocka_unit_test(a_signal_that_came_is_kept_and_named),
        cmocka_unit_test(a_sleep_ends_at_the_deadline_and_with_a_signal),
        cmocka_unit_test(waiting_for_a_descriptor_returns_why_it_returned),
        cmocka_unit_test(opening_again_is_harmless),
        cmocka_unit_test(a_signal_ignored_by_the_caller_stays_ignored),
        cmocka_unit_test(a_child_can_be_ended_again),
    };
    return cmocka_run_group_tests_name("interrupt", tests, NULL, NULL);
}
