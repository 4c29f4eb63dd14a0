#define LIB_CORE_ERROR_DEFINES
#include "lib/core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/util.h"

static char *format_message(const char *format, va_list args)
{
    char *message = NULL;
    if (vasprintf(&message, format, args) < 0) {
        abort();
    }
    return message;
}

static int set(struct error **err, int status, char *message)
{
    if (err == NULL) {
        free(message);
        return -1;
    }
    error_free(*err);
    *err = xcalloc(1, sizeof **err);
    (*err)->status = status;
    (*err)->message = message;
    return -1;
}

int error_new(struct error **err, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *message = format_message(format, args);
    va_end(args);
    return set(err, status, message);
}

int error_errno(struct error **err, int status, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    _cleanup_free_ char *what = format_message(format, args);
    va_end(args);
    return set(err, status, xasprintf("%s: %s", what, strerrordesc_np(errnum)));
}

int error_wrap(struct error **err, const char *format, ...)
{
    if (err == NULL || *err == NULL) {
        return -1;
    }
    va_list args;
    va_start(args, format);
    _cleanup_free_ char *what = format_message(format, args);
    va_end(args);
    char *message = xasprintf("%s: %s", what, (*err)->message);
    free((*err)->message);
    (*err)->message = message;
    return -1;
}

int error_move(struct error **err, struct error **from)
{
    struct error *moved = STEAL(*from);
    if (err == NULL) {
        error_free(moved);
    } else if (moved != NULL) {
        error_free(*err);
        *err = moved;
    }
    return -1;
}

void error_free(struct error *err)
{
    if (err == NULL) {
        return;
    }
    free(err->message);
    free(err);
}

void error_freep(struct error **err)
{
    error_free(*err);
    *err = NULL;
}
