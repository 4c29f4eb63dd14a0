#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/core/logger.h"
#include "lib/core/util.h"

static int terminal = -1;    /* where what is written on one comes out */
static struct buffer before; /* what has come out of it while BODY ran */

/* What BODY writes on a stderr that is FD's other end; READ_FD is where it comes out. */
static char *written(int write_fd, int read_fd, void (*body)(void))
{
    (void)fflush(stderr);
    int saved = dup(STDERR_FILENO);
    assert_true(dup2(write_fd, STDERR_FILENO) >= 0);
    log_open("k8s-hooks", "node", "start", LOG_LEVEL_INFO);
    body();
    (void)fputs("\nend\n", stderr);
    (void)fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    struct buffer text = before;
    char chunk[4096];
    before = (struct buffer){0};
    while (text.data == NULL || strstr(text.data, "\nend\n") == NULL) {
        ssize_t n = read(read_fd, chunk, sizeof chunk);
        assert_true(n > 0);
        buffer_append(&text, chunk, (size_t)n);
    }
    *strstr(text.data, "\nend\n") = '\0';
    close(write_fd);
    close(read_fd);
    return text.data;
}

static char *on_pipe(void (*body)(void))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    return written(ends[1], ends[0], body);
}

static char *on_terminal(void (*body)(void))
{
    int ours = -1;
    int theirs = -1;
    struct termios raw;
    assert_int_equal(openpty(&ours, &theirs, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(theirs, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(theirs, TCSANOW, &raw), 0);
    terminal = ours;
    char *text = written(theirs, ours, body);
    terminal = -1;
    return text;
}

static void all_levels(void)
{
    log_set_step("docker");
    log_error("no %s", "space");
    log_warning("late");
    log_notice("note");
    log_timed(LOG_LEVEL_INFO, 12, "took a while");
    log_debug("detail");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("more detail");
    log_set_level(LOG_LEVEL_ERROR);
    log_warning("unheard");
    log_set_step(NULL);
}

static void progress(void)
{
    log_progress("waiting for the API server");
    log_progress("waiting for the API server");
    log_info("ready");
    log_progress("again");
    log_progress(NULL);
}

/* As a step that waits for another program, which says nothing here: until LINE is drawn on a terminal. */
static void wait_until_drawn(const char *line)
{
    char chunk[256];
    size_t begin = before.len;
    struct pollfd drawn = {.fd = terminal, .events = POLLIN};
    while (before.len == begin || strstr(before.data + begin, line) == NULL) {
        ssize_t n = poll(&drawn, 1, 60000) == 1 ? read(terminal, chunk, sizeof chunk) : 0;
        if (n <= 0) {
            return; /* what is missing is seen in the text */
        }
        buffer_append(&before, chunk, (size_t)n);
    }
}

static void slow_step(void)
{
    static const char line[] = "start kubelet ... ";
    log_set_step("start kubelet");
    if (terminal >= 0) {
        wait_until_drawn(line);
    }
    log_info("half way");
    if (terminal >= 0) {
        wait_until_drawn(line);
    }
    log_set_step(NULL);
    log_info("next");
}

static void lines_are_plain_without_a_terminal(void **state)
{
    (void)state;
    _cleanup_free_ char *text = on_pipe(all_levels);
    assert_string_equal(text, "error: no space\nwarning: late\nnotice: note\ninfo: took a while\ndebug: more detail\n");
}

static void a_terminal_gets_colour(void **state)
{
    (void)state;
    _cleanup_free_ char *text = on_terminal(all_levels);
    assert_non_null(strstr(text, "\033[31mno space\033[0m\n"));
    assert_null(strstr(text, "error:"));
    assert_null(strstr(text, "unheard"));
}

static void progress_is_one_line_that_the_next_message_replaces(void **state)
{
    (void)state;
    _cleanup_free_ char *text = on_terminal(progress);
    static const char line[] = "\r\033[Kwaiting for the API server ... ";
    assert_true(str_starts(text, line));
    const char *again = strstr(text + 1, line);
    assert_non_null(again);
    assert_null(memchr(text, '\n', (size_t)(again - text)));
    assert_non_null(strstr(again, " s\r\033[K"));
    assert_null(strstr(text, " s\n"));
    assert_non_null(strstr(text, "\r\033[Kagain ... "));
    assert_true(str_ends(text, " s\r\033[K"));
}

static void progress_is_silent_without_a_terminal(void **state)
{
    (void)state;
    _cleanup_free_ char *text = on_pipe(progress);
    assert_string_equal(text, "info: ready\n");
}

static void a_step_shows_its_seconds_on_a_terminal(void **state)
{
    (void)state;
    _cleanup_free_ char *text = on_terminal(slow_step);
    const char *drawn = strstr(text, "\r\033[Kstart kubelet ... ");
    const char *message = strstr(text, "half way");
    const char *again = message == NULL ? NULL : strstr(message, "\r\033[Kstart kubelet ... ");
    const char *next = again == NULL ? NULL : strstr(again, " s\r\033[K");
    assert_true(drawn != NULL && message > drawn && next != NULL);
    assert_non_null(strstr(next == NULL ? "" : next, "next"));
    assert_null(strstr(text, " s\n"));
    _cleanup_free_ char *plain = on_pipe(slow_step);
    assert_string_equal(plain, "info: half way\ninfo: next\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_plain_without_a_terminal),
        cmocka_unit_test(a_terminal_gets_colour),
        cmocka_unit_test(progress_is_one_line_that_the_next_message_replaces),
        cmocka_unit_test(progress_is_silent_without_a_terminal),
        cmocka_unit_test(a_step_shows_its_seconds_on_a_terminal),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
