/* Each test is a process of its own: what program_start sets is for life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/program.h"

static void in_a_process(int (*body)(void), int expected)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(body());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

static int open_after_all_three_are_closed(void)
{
    (void)close(0);
    (void)close(1);
    (void)close(2);
    if (program_start(NULL) < 0) {
        return 1;
    }
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char c = 0;
    bool in = read(0, &c, 1) < 0 && errno == EBADF;
    bool out = write(1, "x", 1) < 0 && write(2, "x", 1) < 0;
    return next == 3 && in && out ? 0 : 2;
}

static void closed_descriptors_stay_taken_and_fail(void **state)
{
    (void)state;
    in_a_process(open_after_all_three_are_closed, 0);
}

static int write_to_nobody(void)
{
    int ends[2];
    if (program_start(NULL) < 0 || pipe2(ends, O_CLOEXEC) < 0) {
        return 1;
    }
    (void)close(ends[0]);
    return write(ends[1], "x", 1) < 0 && errno == EPIPE ? 0 : 2;
}

static void a_closed_pipe_does_not_kill_the_process(void **state)
{
    (void)state;
    in_a_process(write_to_nobody, 0);
}

static int look_at_limits(void)
{
    struct rlimit core;
    return program_start(NULL) == 0 && getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
                   prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0
               ? 0
               : 1;
}

static void memory_is_not_dumped(void **state)
{
    (void)state;
    in_a_process(look_at_limits, 0);
}

static int print_to(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || dup2(fd, 1) < 0 ? -1 : 0;
}

static int print_well(void)
{
    return print_to("/dev/null") == 0 && puts("result") >= 0 && program_end(NULL) == 0 ? 0 : 1;
}

static int lose_at_the_end(void)
{
    _cleanup_error_ struct error *err = NULL;
    return print_to("/dev/full") == 0 && puts("result") >= 0 && program_end(&err) < 0 && err->status == STATUS_FAILED &&
                   strstr(err->message, strerror(ENOSPC)) != NULL
               ? 0
               : 1;
}

/* What a flush at the end alone does not see: the disk was full for a moment. */
static int lose_in_the_middle(void)
{
    if (print_to("/dev/full") < 0) {
        return 1;
    }
    (void)puts("first");
    (void)fflush(stdout);
    return print_to("/dev/null") == 0 && puts("last") >= 0 && fflush(stdout) == 0 && program_end(NULL) < 0 ? 0 : 2;
}

static void lost_output_is_an_error(void **state)
{
    (void)state;
    in_a_process(print_well, 0);
    in_a_process(lose_at_the_end, 0);
    in_a_process(lose_in_the_middle, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_descriptors_stay_taken_and_fail),
        cmocka_unit_test(a_closed_pipe_does_not_kill_the_process),
        cmocka_unit_test(memory_is_not_dumped),
        cmocka_unit_test(lost_output_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
