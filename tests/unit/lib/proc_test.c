#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/system/proc.h"

static int run_shell(const char *script, struct proc proc, struct proc_result *result, struct error **err)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    proc.argv = argv;
    if (proc.deadline.at == 0) {
        proc.deadline = deadline_in(300000);
    }
    return proc_run(&proc, result, err);
}

static void output_is_kept_whole(void **state)
{
    (void)state;
    _cleanup_proc_ struct proc_result result = {0};
    assert_int_equal(run_shell("echo one; echo two >&2", (struct proc){.keep_output = true}, &result, NULL), 0);
    assert_string_equal(result.output, "one\n");
    assert_int_equal(result.status, 0);
    assert_true(result.ms >= 0);
}

static void two_full_streams_do_not_block_each_other(void **state)
{
    (void)state;
    _cleanup_proc_ struct proc_result result = {0};
    const char *script = "head -c 3000000 /dev/zero | tr '\\0' x & head -c 3000000 /dev/zero | tr '\\0' y >&2; wait";
    assert_int_equal(run_shell(script, (struct proc){.keep_output = true}, &result, NULL), 0);
    assert_int_equal(strlen(result.output), 3000000);
    assert_int_equal(strspn(result.output, "x"), 3000000);
    assert_int_equal(strlen(result.tail), 4096);
}

static void the_tail_has_whole_last_lines(void **state)
{
    (void)state;
    _cleanup_proc_ struct proc_result result = {0};
    assert_int_equal(run_shell("seq 1 100000; echo last >&2", (struct proc){0}, &result, NULL), 0);
    assert_true(strlen(result.tail) <= 4096);
    assert_non_null(strstr(result.tail, "\n100000"));
    assert_non_null(strstr(result.tail, "last"));
    long first = 0;
    _cleanup_free_ char *line = xstrndup(result.tail, strcspn(result.tail, "\n"));
    assert_true(str_number(line, 90000, 100000, &first));
    assert_null(result.output);
}

static void input_of_any_size_reaches_stdin(void **state)
{
    (void)state;
    _cleanup_free_ char *input = xcalloc(1000001, 1);
    memset(input, 's', 1000000);
    _cleanup_proc_ struct proc_result result = {0};
    assert_int_equal(run_shell("cat", (struct proc){.keep_output = true, .input = input}, &result, NULL), 0);
    assert_string_equal(result.output, input);
    proc_result_free(&result);
    assert_int_equal(run_shell("true", (struct proc){.input = input}, &result, NULL), 0);
}

static void without_input_stdin_is_empty(void **state)
{
    (void)state;
    _cleanup_proc_ struct proc_result result = {0};
    assert_int_equal(run_shell("wc -c", (struct proc){.keep_output = true}, &result, NULL), 0);
    assert_string_equal(result.output, "0\n");
}

static void a_failure_names_the_request_and_the_reason(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_proc_ struct proc_result result = {0};
    assert_int_equal(run_shell("echo 'no space left' >&2; exit 7", (struct proc){0}, &result, &err), -1);
    assert_int_equal(err->status, STATUS_COMMAND);
    assert_string_equal(err->message, "sh: exit status 7; it printed:\nno space left");
    assert_int_equal(result.status, 7);
}

static void options_stay_out_of_the_message(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(proc_exec(deadline_in(300000), &err, "/usr/bin/env", "false", "word", "--token=x", "y", NULL), -1);
    assert_string_equal(err->message, "env false word: exit status 1");
}

static void another_status_can_be_fine(void **state)
{
    (void)state;
    assert_int_equal(run_shell("exit 3", (struct proc){.ok_status = 3}, NULL, NULL), 0);
    assert_int_equal(run_shell("exit 4", (struct proc){.ok_status = 3}, NULL, NULL), -1);
}

static void death_by_signal_is_reported(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(run_shell("kill -SEGV $$", (struct proc){0}, NULL, &err), -1);
    assert_non_null(strstr(err->message, "signal 11"));
}

static void an_absent_program_is_an_error(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(proc_exec(deadline_in(300000), &err, "no-such-program", NULL), -1);
    assert_int_equal(err->status, STATUS_COMMAND);
    assert_non_null(strstr(err->message, "no-such-program"));
    error_freep(&err);
    assert_int_equal(proc_exec(deadline_in(300000), &err, "/etc/passwd", NULL), -1);
    assert_non_null(strstr(err->message, "Permission denied"));
}

static void the_environment_is_fixed(void **state)
{
    (void)state;
    _cleanup_proc_ struct proc_result result = {0};
    const char *const extra[] = {"KUBECONFIG=/x", NULL};
    setenv("LEAKED", "yes", 1);
    const struct proc proc = {.keep_output = true, .environment = extra};
    assert_int_equal(run_shell("echo $KUBECONFIG,$LEAKED,$HOME,$LANG,$PATH", proc, &result, NULL), 0);
    assert_true(str_starts(result.output, "/x,,/root,C.UTF-8,/opt/kubernetes/bin:"));
}

/* Waits for the end of a process that is not ours: its descriptor becomes readable. Fails the test when it lives on. */
static void assert_ends(pid_t pid)
{
    _cleanup_close_ int fd = pidfd_open(pid, 0);
    if (fd < 0) {
        assert_int_equal(errno, ESRCH);
        return;
    }
    struct pollfd end = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&end, 1, 120000), 1);
}

static void the_deadline_ends_grandchildren_too(void **state)
{
    (void)state;
    static const int limits[] = {500, 10000, 60000}; /* on a loaded machine the first may pass before both have begun */
    const char *script = "sh -c 'trap \"\" TERM; sleep 600 & echo $!; wait; sleep 600' & echo $!; wait";
    int count = 0;
    for (size_t i = 0; i < ELEMENTS(limits) && count < 2; i++) {
        _cleanup_error_ struct error *err = NULL;
        _cleanup_proc_ struct proc_result result = {0};
        const struct proc proc = {.keep_output = true, .deadline = deadline_in(limits[i])};
        assert_int_equal(run_shell(script, proc, &result, &err), -1);
        assert_int_equal(err->status, STATUS_DEADLINE);
        long pid = 0;
        _cleanup_strv_ char **lines = strv_split(result.output);
        count = 0;
        for (char **line = lines; *line != NULL; line++, count++) {
            assert_true(str_number(*line, 2, INT32_MAX, &pid));
            assert_ends((pid_t)pid);
        }
    }
    assert_int_equal(count, 2);
}

static void a_program_that_ignores_sigterm_is_killed(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_proc_ struct proc_result result = {0};
    const struct proc proc = {.deadline = deadline_in(300)};
    assert_int_equal(run_shell("trap '' TERM; while :; do sleep 600; done", proc, &result, &err), -1);
    assert_int_equal(err->status, STATUS_DEADLINE);
    assert_int_equal(result.status, -1);
}

static void one_that_never_stops_printing_meets_its_deadline(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    const char *const argv[] = {"yes", NULL};
    const struct proc proc = {.argv = argv, .deadline = deadline_in(300)};
    assert_int_equal(proc_run(&proc, NULL, &err), -1);
    assert_int_equal(err->status, STATUS_DEADLINE);
}

static void a_background_child_is_not_waited_for(void **state)
{
    (void)state;
    _cleanup_proc_ struct proc_result result = {0};
    const struct proc proc = {.keep_output = true};
    assert_int_equal(run_shell("sleep 600 & echo $!", proc, &result, NULL), 0);
    long pid = 0;
    result.output[strcspn(result.output, "\n")] = '\0';
    assert_true(str_number(result.output, 2, INT32_MAX, &pid));
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

/* In a process of its own: a signal once taken is never given back. */
static int interrupted_run(void)
{
    struct error *err = NULL;
    if (interrupt_open(&err) < 0) {
        return 1;
    }
    _cleanup_free_ char *script = xasprintf("kill -TERM %d; sleep 600", (int)getpid());
    if (run_shell(script, (struct proc){0}, NULL, &err) == 0 || err->status != STATUS_INTERRUPTED) {
        return 2;
    }
    bool named = strstr(err->message, "SIGTERM") != NULL;
    error_freep(&err);
    return !named ? 3 : run_shell("true", (struct proc){0}, NULL, NULL) == 0 ? 4 : 0;
}

static void a_signal_ends_the_run(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(interrupted_run());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_child_dies_with_us(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        _cleanup_free_ char *script = xasprintf("echo $$ >/proc/%d/fd/%d; exec sleep 600", (int)getpid(), ends[1]);
        (void)run_shell(script, (struct proc){0}, NULL, NULL);
        _exit(0);
    }
    char text[32] = "";
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    text[strcspn(text, "\n")] = '\0';
    long child = 0;
    assert_true(str_number(text, 2, INT32_MAX, &child));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_ends((pid_t)child);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_kept_whole),
        cmocka_unit_test(two_full_streams_do_not_block_each_other),
        cmocka_unit_test(the_tail_has_whole_last_lines),
        cmocka_unit_test(input_of_any_size_reaches_stdin),
        cmocka_unit_test(without_input_stdin_is_empty),
        cmocka_unit_test(a_failure_names_the_request_and_the_reason),
        cmocka_unit_test(options_stay_out_of_the_message),
        cmocka_unit_test(another_status_can_be_fine),
        cmocka_unit_test(death_by_signal_is_reported),
        cmocka_unit_test(an_absent_program_is_an_error),
        cmocka_unit_test(the_environment_is_fixed),
        cmocka_unit_test(the_deadline_ends_grandchildren_too),
        cmocka_unit_test(a_program_that_ignores_sigterm_is_killed),
        cmocka_unit_test(one_that_never_stops_printing_meets_its_deadline),
        cmocka_unit_test(a_background_child_is_not_waited_for),
        cmocka_unit_test(a_signal_ends_the_run),
        cmocka_unit_test(a_child_dies_with_us),
    };
    return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
