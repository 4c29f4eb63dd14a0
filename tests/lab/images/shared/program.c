#include "tests/lab/images/shared/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/core/util.h"

static void say_list(const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) >= 0) {
        (void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
        free(text);
    }
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_list(format, args);
    va_end(args);
}

void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_list(format, args);
    va_end(args);
    exit(1);
}

static struct flag *find_flag(struct flag *flags, const char *name, size_t len)
{
    for (; flags->name != NULL; flags++) {
        if (strlen(flags->name) == len && strncmp(flags->name, name, len) == 0) {
            return flags;
        }
    }
    return NULL;
}

static bool is_duration(const char *value)
{
    static const char *const units[] = {"ms", "s", "m", "h"};
    if (strcmp(value, "0") == 0) {
        return true;
    }
    while (*value != '\0') {
        size_t digits = strspn(value, "0123456789.");
        size_t unit = strspn(value + digits, "mshu");
        bool known = false;
        for (size_t i = 0; i < ELEMENTS(units); i++) {
            known = known || (strlen(units[i]) == unit && strncmp(units[i], value + digits, unit) == 0);
        }
        if (digits == 0 || !known) {
            return false;
        }
        value += digits + unit;
    }
    return true;
}

static bool fits(const struct flag *flag, const char *value)
{
    switch (flag->kind) {
    case FLAG_TEXT:
        return true;
    case FLAG_FILE:
        return access(value, R_OK) == 0;
    case FLAG_NUMBER:
        return value[0] != '\0' && value[strspn(value, "0123456789")] == '\0';
    case FLAG_SECONDS:
        return value[0] != '\0' && is_duration(value);
    case FLAG_SWITCH:
        return strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
    }
    return false;
}

static _Noreturn void misused(const char *problem, const char *what)
{
    say("%s: %s", problem, what);
    exit(2);
}

void flags_parse(struct flag *flags, char **argv)
{
    for (argv++; *argv != NULL; argv++) {
        const char *name = *argv + (strncmp(*argv, "--", 2) == 0 ? 2 : 1);
        if ((*argv)[0] != '-' || *name == '\0') {
            misused("not a flag", *argv);
        }
        size_t len = strcspn(name, "=");
        struct flag *flag = find_flag(flags, name, len);
        if (flag == NULL) {
            misused("unknown flag", *argv);
        }
        const char *value = name[len] == '=' ? name + len + 1 : flag->kind == FLAG_SWITCH ? "true" : *++argv;
        if (value == NULL) {
            misused("flag needs a value", name);
        }
        if (!fits(flag, value)) {
            misused("invalid value for flag", argv[0]);
        }
        flag->value = value;
    }
    for (; flags->name != NULL; flags++) {
        if (flags->required && flags->value == NULL) {
            fail("flag --%s must be given", flags->name);
        }
    }
}

const char *flag_text(const struct flag *flags, const char *name)
{
    for (; flags->name != NULL; flags++) {
        if (strcmp(flags->name, name) == 0) {
            return flags->value;
        }
    }
    fail("no flag %s is known", name);
}

bool flag_on(const struct flag *flags, const char *name)
{
    const char *value = flag_text(flags, name);
    return value != NULL && strcmp(value, "true") == 0;
}

long flag_number(const struct flag *flags, const char *name)
{
    const char *value = flag_text(flags, name);
    return value == NULL ? 0 : strtol(value, NULL, 10);
}

static void end(int signal)
{
    (void)signal;
    _exit(0);
}

void end_on_signals(void)
{
    struct sigaction ends = {.sa_handler = end};
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    if (sigaction(SIGTERM, &ends, NULL) != 0 || sigaction(SIGINT, &ends, NULL) != 0 ||
        sigaction(SIGPIPE, &ignored, NULL) != 0) {
        fail("setting signals: %s", strerror(errno));
    }
}

int number_of(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

const char *must_env(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL || value[0] == '\0') {
        fail("environment variable %s is not set", name);
    }
    return value;
}

char *must_read(const char *path)
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    _cleanup_buffer_ struct buffer text = {0};
    char chunk[4096];
    if (file == NULL) {
        fail("reading %s: %s", path, strerror(errno));
    }
    for (size_t n = fread(chunk, 1, sizeof chunk, file); n > 0; n = fread(chunk, 1, sizeof chunk, file)) {
        buffer_append(&text, chunk, n);
    }
    if (text.len == 0) {
        fail("%s is empty", path);
    }
    return STEAL(text.data);
}

int run_program(const char *const *argv)
{
    pid_t pid;
    int status = 0;
    int r = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);
    if (r != 0) {
        say("running %s: %s", argv[0], strerror(r));
        return 127;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

FILE *program_open(const char *const *argv, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO) != 0) {
        fail("running %s: %s", argv[0], strerror(errno));
    }
    int r = posix_spawnp(child, argv[0], &actions, NULL, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    FILE *output = r == 0 ? fdopen(fds[0], "re") : NULL;
    if (output == NULL) {
        fail("running %s: %s", argv[0], strerror(r == 0 ? errno : r));
    }
    return output;
}

int program_close(FILE *output, pid_t child)
{
    int status = 0;
    (void)fclose(output);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void replace_char(char *text, char from, char to)
{
    for (; *text != '\0'; text++) {
        if (*text == from) {
            *text = to;
        }
    }
}

long now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

char *timestamp(void)
{
    struct timespec now;
    struct tm utc;
    char text[40];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &utc));
    return xasprintf("%s.%06ldZ", text, now.tv_nsec / 1000);
}
