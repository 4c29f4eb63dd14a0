/* What every program of a container image of the lab starts with: messages and strictly parsed flags. */
#ifndef LAB_IMAGES_PROGRAM_H
#define LAB_IMAGES_PROGRAM_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* A line on standard error, under the program's name. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and the program ends with status 1. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

enum flag_kind {
    FLAG_TEXT,
    FLAG_FILE,    /* a file or directory that can be read */
    FLAG_NUMBER,  /* decimal */
    FLAG_SECONDS, /* as Go writes durations: 90s, 5m, 1h, 500ms */
    FLAG_SWITCH,  /* true without a value, or =true, =false */
};

struct flag {
    const char *name;
    enum flag_kind kind;
    bool required;
    const char *value; /* the default; NULL: none. Replaced by what is given */
};

/* Parses ARGV as Go's flag packages do: --name=value, --name value, -name. Ends the program with status 2 on a flag
 * that is not in FLAGS (a table that ends with a NULL name), a value that does not fit its kind, and anything that is
 * no flag; with status 1 when one that is required is missing. */
void flags_parse(struct flag *flags, char **argv);
/* The value, or NULL. Asking for a name that is not in the table ends the program. */
const char *flag_text(const struct flag *flags, const char *name);
bool flag_on(const struct flag *flags, const char *name);
long flag_number(const struct flag *flags, const char *name);

/* Ends the program with status 0 on SIGTERM and SIGINT, and ignores SIGPIPE. Before any thread is made. */
void end_on_signals(void);

/* Every FROM in TEXT becomes TO. */
void replace_char(char *text, char from, char to);

/* A decimal number; 0 when TEXT begins with none. */
int number_of(const char *text);

/* An environment variable that must be there. */
const char *must_env(const char *name);

/* A whole file, which must be there and not empty; the caller frees. */
char *must_read(const char *path);

/* Runs a program found by PATH and waits; its exit status, 128 and more for a signal. NULL ends the arguments. */
int run_program(const char *const *argv);

/* Runs a program whose output is read from the file that is returned; program_close waits for it and gives its status.
 */
FILE *program_open(const char *const *argv, pid_t *child);
int program_close(FILE *output, pid_t child);

/* The current second, since the machine booted. */
long now_s(void);

/* RFC 3339 with microseconds, UTC, as Kubernetes' MicroTime. The caller frees. */
char *timestamp(void);

#endif
