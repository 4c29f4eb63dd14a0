/* Progress of several things at once. On a terminal, finished things are lines above one redrawn line that shows what
 * goes on and for how long; elsewhere each beginning and end is a plain line, and every 20 s one about what still goes
 * on. */
#ifndef LAB_PROGRESS_H
#define LAB_PROGRESS_H

#include <stdbool.h>

/* To FILE descriptor stderr or stdout; times count from here. QUIET: only failures are printed. */
void progress_open(bool quiet);
void progress_close(void);

struct task;
/* WHAT as "node-1: init". LOG (may be NULL): file whose last line is its current work. Callable from any thread. */
struct task *progress_begin(const char *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* NOTE (may be NULL) is put behind. Frees the task. */
void progress_end(struct task *task, bool ok, const char *note);
void progress_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
