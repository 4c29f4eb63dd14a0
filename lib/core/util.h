/* What C lacks: clean-up attributes, strings, deadlines. */
#ifndef LIB_CORE_UTIL_H
#define LIB_CORE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

void util_freep(void *p);          /* free(*p) */
void util_closep(const int *fd);   /* close(*fd) unless negative, keeping errno */
void util_fclosep(FILE **f);       /* fclose(*f) unless NULL */
void util_json_decrefp(json_t **); /* json_decref(*j) */
void util_strvp(char ***v);        /* strv_free(*v) */
/* Wipes the string before it frees it: for secrets. */
void util_wipe_freep(char **p);

#define _cleanup_free_ _cleanup_(util_freep)
#define _cleanup_close_ _cleanup_(util_closep)
#define _cleanup_fclose_ _cleanup_(util_fclosep)
#define _cleanup_json_ _cleanup_(util_json_decrefp)
#define _cleanup_strv_ _cleanup_(util_strvp)
#define _cleanup_secret_ _cleanup_(util_wipe_freep)

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* Memory: these end the process when there is none, so callers need no path for it. */
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s); /* NULL stays NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Takes the value out of a clean-up variable. */
#define STEAL(p)                                                                                                       \
    ({                                                                                                                 \
        __typeof__(p) stolen_ = (p);                                                                                   \
        (p) = NULL;                                                                                                    \
        stolen_;                                                                                                       \
    })

int steal_fd(int *fd); /* the same for a descriptor */

/* A growing byte string; zero-initialise. data is NUL-terminated after the first append, NULL before. */
struct buffer {
    char *data;
    size_t len;
    size_t size;
};
void buffer_append(struct buffer *b, const void *data, size_t len);
void buffer_puts(struct buffer *b, const char *s);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_free(struct buffer *b);
void buffer_wipe(struct buffer *b); /* the same for what holds secrets */
#define _cleanup_buffer_ _cleanup_(buffer_free)

/* NULL-terminated vectors of strings, each string and the vector owned by the holder. */
size_t strv_length(char *const *v);
void strv_push(char ***v, const char *s); /* copies s */
bool strv_contains(char *const *v, const char *s);
void strv_free(char **v);
/* Splits at any run of blanks (space, tab, newline); never NULL. */
char **strv_split(const char *s);

bool str_empty(const char *s); /* NULL or "" */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* A number in LOW..HIGH written in decimal digits only; false when S is anything else. */
bool str_number(const char *s, long low, long high, long *value);

/* A point on CLOCK_BOOTTIME in milliseconds: VM pauses count. */
struct deadline {
    int64_t at;
};
int64_t clock_ms(void);
struct deadline deadline_in(int64_t ms);
struct deadline deadline_never(void);
struct deadline deadline_earlier(struct deadline a, struct deadline b);
int64_t deadline_left(struct deadline d); /* ms, 0 when passed */

/* SECONDS since 1970, in UTC; "@SECONDS" for what is not in the years 0 to 9999. The caller frees. */
enum time_form {
    TIME_DATE,    /* 2026-11-25 */
    TIME_SECOND,  /* 2026-11-25 15:30:00Z */
    TIME_COMPACT, /* 20261125T153000Z: for names of files */
};
char *time_text(int64_t seconds, enum time_form form);

/* Seconds from FROM to TO; INT64_MIN or INT64_MAX where those are further apart: FROM may be of a damaged file. */
int64_t time_between(int64_t from, int64_t to);

#endif
