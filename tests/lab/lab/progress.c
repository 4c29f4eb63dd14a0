#include "tests/lab/lab/progress.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/core/util.h"

#define REDRAW_MS 200
#define REMIND_MS 20000

struct task {
    struct task *next;
    char *what, *log;
    int64_t began;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static pthread_t ticker;
static bool opened, terminal, silent;
static int64_t start;
static struct task *tasks;

static double seconds(int64_t since)
{
    return (double)(clock_ms() - since) / 1000;
}

/* The last line of the task's log, without control characters; the caller frees. */
static char *last_line(const struct task *task)
{
    _cleanup_fclose_ FILE *f = task->log == NULL ? NULL : fopen(task->log, "re");
    char tail[512] = "";
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        return xstrdup("");
    }
    long size = ftell(f);
    long from = size > (long)sizeof tail - 1 ? size - ((long)sizeof tail - 1) : 0;
    size_t n = fseek(f, from, SEEK_SET) == 0 ? fread(tail, 1, sizeof tail - 1, f) : 0;
    while (n > 0 && isspace((unsigned char)tail[n - 1])) {
        n--;
    }
    tail[n] = '\0';
    for (char *c = tail; *c != '\0'; c++) {
        if (*c == '\r') {
            *c = '\n';
        }
    }
    char *line = strrchr(tail, '\n');
    line = line == NULL ? tail : line + 1;
    for (char *c = line; *c != '\0'; c++) {
        *c = iscntrl((unsigned char)*c) ? ' ' : *c;
    }
    return xstrdup(line);
}

static char *going_on(void)
{
    struct buffer text = {0};
    buffer_printf(&text, "%6.1f ", seconds(start));
    for (struct task *task = tasks; task != NULL; task = task->next) {
        _cleanup_free_ char *line = last_line(task);
        buffer_printf(&text, " %s %.0f s%s%.60s%s", task->what, seconds(task->began), *line == '\0' ? "" : " (", line,
                      *line == '\0' ? "" : ")");
        buffer_puts(&text, task->next == NULL ? "" : ",");
    }
    return text.data;
}

static void redraw(void)
{
    if (!terminal || silent) {
        return;
    }
    struct winsize size = {.ws_col = 80};
    (void)ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    _cleanup_free_ char *line = going_on();
    (void)fprintf(stderr, "\r\033[K%.*s", size.ws_col > 0 ? size.ws_col - 1 : 79, tasks == NULL ? "" : line);
    (void)fflush(stderr);
}

static void print(const char *mark, const char *text)
{
    (void)fprintf(stderr, "%s%6.1f  %s%s\n", terminal ? "\r\033[K" : "", seconds(start), mark, text);
    redraw();
}

static void *tick(void *unused)
{
    (void)unused;
    int64_t said = clock_ms();
    (void)pthread_mutex_lock(&lock);
    while (opened) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        long ns = until.tv_nsec + REDRAW_MS * 1000000L;
        until.tv_sec += ns / 1000000000L;
        until.tv_nsec = ns % 1000000000L;
        (void)pthread_cond_timedwait(&wake, &lock, &until);
        redraw();
        if (!terminal && !silent && tasks != NULL && clock_ms() - said >= REMIND_MS) {
            _cleanup_free_ char *line = going_on();
            (void)fprintf(stderr, "%s\n", line);
            said = clock_ms();
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

void progress_open(bool quiet)
{
    start = clock_ms();
    terminal = isatty(STDERR_FILENO) == 1;
    silent = quiet;
    opened = true;
    if (pthread_create(&ticker, NULL, tick, NULL) != 0) {
        opened = false;
    }
}

void progress_close(void)
{
    if (!opened) {
        return;
    }
    (void)pthread_mutex_lock(&lock);
    opened = false;
    (void)pthread_cond_signal(&wake);
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_join(ticker, NULL);
}

static char *formatted(const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0) {
        abort();
    }
    return text;
}

struct task *progress_begin(const char *log, const char *format, ...)
{
    struct task *task = xcalloc(1, sizeof *task);
    va_list args;
    va_start(args, format);
    task->what = formatted(format, args);
    va_end(args);
    task->log = xstrdup(log);
    task->began = clock_ms();
    (void)pthread_mutex_lock(&lock);
    struct task **end = &tasks;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = task;
    if (!terminal && !silent) {
        print("... ", task->what);
    }
    redraw();
    (void)pthread_mutex_unlock(&lock);
    return task;
}

void progress_end(struct task *task, bool ok, const char *note)
{
    (void)pthread_mutex_lock(&lock);
    for (struct task **t = &tasks; *t != NULL; t = &(*t)->next) {
        if (*t == task) {
            *t = task->next;
            break;
        }
    }
    _cleanup_free_ char *text = xasprintf("%s, %.1f s%s%s", task->what, seconds(task->began),
                                          str_empty(note) ? "" : ": ", note == NULL ? "" : note);
    if (!silent || !ok) {
        print(ok ? "done " : "FAILED ", text);
    }
    (void)pthread_mutex_unlock(&lock);
    free(task->what);
    free(task->log);
    free(task);
}

void progress_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    _cleanup_free_ char *text = formatted(format, args);
    va_end(args);
    (void)pthread_mutex_lock(&lock);
    print("", text);
    (void)pthread_mutex_unlock(&lock);
}
