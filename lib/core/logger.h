/* Logging: the journal with fields (ROLE, EVENT, STEP, MS), and stderr for whoever watches. No message holds a secret.
 */
#ifndef LIB_CORE_LOGGER_H
#define LIB_CORE_LOGGER_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/* IDENT is the syslog identifier of the journal entries. ROLE and EVENT may be NULL. Messages up to LEVEL go to stderr:
 * in colour and with elapsed time on a terminal, as plain "level: text" lines when not. The journal gets all but
 * debug, and gets nothing where it is absent. The strings must outlive the log. */
void log_open(const char *ident, const char *role, const char *event, enum log_level level);
void log_set_level(enum log_level level);

/* The step that following messages belong to; NULL for none. On a terminal the last line shows it with its seconds once
 * it takes longer than one, in the place of log_progress's text. The string must outlive the step. */
void log_set_step(const char *step);

void log_message(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As log_message with MS, the time something took, as a field. */
void log_timed(enum log_level level, int64_t ms, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_message(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* On a terminal, one line that is redrawn each second while something long goes on ("waiting for the API server ...
 * 12 s"); without one, nothing. Ended by the next message or by TEXT NULL. */
void log_progress(const char *text);

#endif
