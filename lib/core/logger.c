#include "lib/core/logger.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-journal.h>

#include "lib/core/util.h"

static struct {
    const char *ident, *role, *event, *step;
    enum log_level level;
    bool terminal;
    int64_t opened;
    int64_t step_since;
    char *progress; /* of log_progress */
    int64_t progress_since;
    bool drawn; /* the terminal's last line holds one of the two, without a newline yet */
} state = {.ident = "k8s-hooks", .level = LOG_LEVEL_INFO};

/* Checks run side by side and may log at the same time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const struct {
    const char *name, *colour;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", "\033[31m"},  [LOG_LEVEL_WARNING] = {"warning", "\033[33m"},
    [LOG_LEVEL_NOTICE] = {"notice", "\033[1m"}, [LOG_LEVEL_INFO] = {"info", ""},
    [LOG_LEVEL_DEBUG] = {"debug", "\033[2m"},
};

void log_open(const char *ident, const char *role, const char *event, enum log_level level)
{
    state.ident = ident;
    state.role = role;
    state.event = event;
    state.level = level;
    state.terminal = isatty(STDERR_FILENO) == 1;
    state.opened = clock_ms();
}

void log_set_level(enum log_level level)
{
    state.level = level;
}

static void erase(void)
{
    if (state.drawn) {
        (void)fputs("\r\033[K", stderr);
        state.drawn = false;
    }
}

static void end_progress(void)
{
    erase();
    free(STEAL(state.progress));
}

static void draw(const char *text, int64_t since)
{
    (void)fprintf(stderr, "\r\033[K%s ... %" PRId64 " s", text, (clock_ms() - since) / 1000);
    state.drawn = true;
}

/* For the life of the process, on a terminal: what runs may be waiting in a program that knows nothing of this line. */
static void *redraw(void *unused)
{
    static const struct timespec second = {.tv_sec = 1};
    for (;;) {
        (void)nanosleep(&second, NULL);
        pthread_mutex_lock(&lock);
        if (state.terminal && state.progress != NULL) {
            draw(state.progress, state.progress_since);
        } else if (state.terminal && state.step != NULL) {
            draw(state.step, state.step_since);
        }
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

static void start_redrawing(void)
{
    static bool started;
    pthread_t thread;
    if (!started && pthread_create(&thread, NULL, redraw, NULL) == 0) {
        (void)pthread_detach(thread);
        started = true;
    }
}

void log_set_step(const char *step)
{
    pthread_mutex_lock(&lock);
    end_progress();
    state.step = step;
    state.step_since = clock_ms();
    if (state.terminal && step != NULL) {
        start_redrawing();
    }
    pthread_mutex_unlock(&lock);
}

static void to_stderr(enum log_level level, const char *text)
{
    end_progress();
    if (!state.terminal) {
        (void)fprintf(stderr, "%s: %s\n", levels[level].name, text);
        return;
    }
    double elapsed = (double)(clock_ms() - state.opened) / 1000;
    (void)fprintf(stderr, "%7.2f  %s%s\033[0m\n", elapsed, levels[level].colour, text);
}

static void to_journal(enum log_level level, int64_t ms, const char *text)
{
    struct iovec fields[7];
    char *held[ELEMENTS(fields)];
    int count = 0;
    held[count++] = xasprintf("MESSAGE=%s", text);
    held[count++] = xasprintf("PRIORITY=%d", (int)level);
    held[count++] = xasprintf("SYSLOG_IDENTIFIER=%s", state.ident);
    if (state.role != NULL) {
        held[count++] = xasprintf("ROLE=%s", state.role);
    }
    if (state.event != NULL) {
        held[count++] = xasprintf("EVENT=%s", state.event);
    }
    if (state.step != NULL) {
        held[count++] = xasprintf("STEP=%s", state.step);
    }
    if (ms >= 0) {
        held[count++] = xasprintf("MS=%" PRId64, ms);
    }
    for (int i = 0; i < count; i++) {
        fields[i] = (struct iovec){.iov_base = held[i], .iov_len = strlen(held[i])};
    }
    (void)sd_journal_sendv(fields, count);
    for (int i = 0; i < count; i++) {
        free(held[i]);
    }
}

__attribute__((format(printf, 3, 0))) static void emit(enum log_level level, int64_t ms, const char *format,
                                                       va_list args)
{
    char *text = NULL;
    if (level > state.level && level >= LOG_LEVEL_DEBUG) {
        return;
    }
    if (vasprintf(&text, format, args) < 0) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (level <= state.level) {
        to_stderr(level, text);
    }
    if (level < LOG_LEVEL_DEBUG) {
        to_journal(level, ms, text);
    }
    pthread_mutex_unlock(&lock);
    free(text);
}

void log_message(enum log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    emit(level, -1, format, args);
    va_end(args);
}

void log_timed(enum log_level level, int64_t ms, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    emit(level, ms, format, args);
    va_end(args);
}

void log_progress(const char *text)
{
    if (!state.terminal) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (text == NULL) {
        end_progress();
    } else {
        if (state.progress == NULL || strcmp(state.progress, text) != 0) {
            end_progress();
            state.progress = xstrdup(text);
            state.progress_since = clock_ms();
        }
        draw(text, state.progress_since);
        start_redrawing();
    }
    pthread_mutex_unlock(&lock);
}
