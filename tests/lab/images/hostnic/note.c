#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/core/util.h"
#include "tests/lab/images/hostnic/hostnic.h"

static FILE *log_file;

void note_open(const char *path)
{
    log_file = path == NULL ? NULL : fopen(path, "ae");
    if (path != NULL && log_file == NULL) {
        fail("log_file %s cannot be written", path);
    }
}

void note(const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say("%s", text);
    if (log_file != NULL) {
        (void)fprintf(log_file, "%s\n", text);
        (void)fflush(log_file);
    }
}

void check_keys(const json_t *object, const char *const *known, const char *where)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        bool is_known = false;
        for (const char *const *k = known; *k != NULL; k++) {
            is_known = is_known || strcmp(*k, key) == 0;
        }
        if (!is_known) {
            fail("%s: '%s' is not known", where, key);
        }
    }
}
