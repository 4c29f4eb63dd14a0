#include "lib/core/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void util_freep(void *p)
{
    free(*(void **)p);
}

void util_closep(const int *fd)
{
    int saved = errno;
    if (*fd >= 0) {
        close(*fd);
    }
    errno = saved;
}

int steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

void util_fclosep(FILE **f)
{
    if (*f != NULL) {
        (void)fclose(*f);
    }
}

void util_json_decrefp(json_t **j)
{
    json_decref(*j);
}

void util_strvp(char ***v)
{
    strv_free(*v);
}

void util_wipe_freep(char **p)
{
    if (*p != NULL) {
        explicit_bzero(*p, strlen(*p));
        free(*p);
    }
}

static void *or_abort(void *p)
{
    if (p == NULL) {
        (void)fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xcalloc(size_t count, size_t size)
{
    return or_abort(calloc(count, size));
}

void *xrealloc(void *p, size_t size)
{
    return or_abort(realloc(p, size));
}

char *xstrdup(const char *s)
{
    return s == NULL ? NULL : or_abort(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
    return or_abort(strndup(s, n));
}

static char *xvasprintf(const char *format, va_list args)
{
    char *s = NULL;
    return vasprintf(&s, format, args) < 0 ? or_abort(NULL) : s;
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *s = xvasprintf(format, args);
    va_end(args);
    return s;
}

void buffer_append(struct buffer *b, const void *data, size_t len)
{
    if (b->size - b->len <= len) {
        size_t size = b->size < 256 ? 256 : b->size;
        while (size - b->len <= len) {
            size *= 2;
        }
        b->data = xrealloc(b->data, size);
        b->size = size;
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
    b->data[b->len] = '\0';
}

void buffer_puts(struct buffer *b, const char *s)
{
    buffer_append(b, s, strlen(s));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    _cleanup_free_ char *s = xvasprintf(format, args);
    va_end(args);
    buffer_puts(b, s);
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_wipe(struct buffer *b)
{
    if (b->data != NULL) {
        explicit_bzero(b->data, b->size);
    }
    buffer_free(b);
}

size_t strv_length(char *const *v)
{
    size_t n = 0;
    while (v != NULL && v[n] != NULL) {
        n++;
    }
    return n;
}

void strv_push(char ***v, const char *s)
{
    size_t n = strv_length(*v);
    *v = xrealloc(*v, (n + 2) * sizeof **v);
    (*v)[n] = xstrdup(s);
    (*v)[n + 1] = NULL;
}

bool strv_contains(char *const *v, const char *s)
{
    for (; v != NULL && *v != NULL; v++) {
        if (strcmp(*v, s) == 0) {
            return true;
        }
    }
    return false;
}

void strv_free(char **v)
{
    for (char **s = v; s != NULL && *s != NULL; s++) {
        free(*s);
    }
    free((void *)v);
}

char **strv_split(const char *s)
{
    static const char blanks[] = " \t\r\n";
    char **v = xcalloc(1, sizeof *v);
    for (s += strspn(s, blanks); *s != '\0'; s += strspn(s, blanks)) {
        size_t len = strcspn(s, blanks);
        char *word = xstrndup(s, len);
        strv_push(&v, word);
        free(word);
        s += len;
    }
    return v;
}

bool str_empty(const char *s)
{
    return s == NULL || *s == '\0';
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s);
    size_t m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

bool str_number(const char *s, long low, long high, long *value)
{
    if (str_empty(s) || strspn(s, "0123456789") != strlen(s)) {
        return false;
    }
    errno = 0;
    long n = strtol(s, NULL, 10);
    if (errno != 0 || n < low || n > high) {
        return false;
    }
    *value = n;
    return true;
}

int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t time_between(int64_t from, int64_t to)
{
    int64_t seconds = 0;
    return !__builtin_sub_overflow(to, from, &seconds) ? seconds : (from < 0 ? INT64_MAX : INT64_MIN);
}

struct deadline deadline_in(int64_t ms)
{
    return (struct deadline){clock_ms() + ms};
}

struct deadline deadline_never(void)
{
    return (struct deadline){INT64_MAX};
}

struct deadline deadline_earlier(struct deadline a, struct deadline b)
{
    return a.at < b.at ? a : b;
}

int64_t deadline_left(struct deadline d)
{
    int64_t now = clock_ms();
    return d.at <= now ? 0 : d.at - now;
}

char *time_text(int64_t seconds, enum time_form form)
{
    struct tm tm;
    time_t at = (time_t)seconds;
    int year = gmtime_r(&at, &tm) == NULL ? -1 : tm.tm_year + 1900;
    if (year < 0 || year > 9999) {
        return xasprintf("@%" PRId64, seconds);
    }
    switch (form) {
    case TIME_DATE:
        return xasprintf("%04d-%02d-%02d", year, tm.tm_mon + 1, tm.tm_mday);
    case TIME_SECOND:
        return xasprintf("%04d-%02d-%02d %02d:%02d:%02dZ", year, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                         tm.tm_sec);
    default:
        return xasprintf("%04d%02d%02dT%02d%02d%02dZ", year, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                         tm.tm_sec);
    }
}
