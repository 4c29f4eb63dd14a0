/* A value must be read back as it was by the reader of its format: JSON by jansson; env and ini by rule. */
#include <stdint.h>
#include <string.h>

#include "lib/text/mustache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(const char *value)
{
    _cleanup_buffer_ struct buffer out = {0};
    buffer_puts(&out, "\"");
    if (format_escape(FORMAT_JSON, value, &out, NULL) < 0) {
        abort();
    }
    buffer_puts(&out, "\"");
    _cleanup_json_ json_t *back = json_loads(out.data, JSON_DECODE_ANY, NULL);
    if (back == NULL || strcmp(json_string_value(back), value) != 0) {
        abort();
    }
}

/* Inside double quotes nothing but a backslash may stand before what a shell looks at. */
static void check_env(const char *value)
{
    _cleanup_buffer_ struct buffer out = {0};
    if (format_escape(FORMAT_ENV, value, &out, NULL) < 0) {
        return;
    }
    const char *expected = value;
    for (const char *c = out.data == NULL ? "" : out.data; *c != '\0'; c++) {
        if (*c == '\\') {
            c++;
        } else if (strchr("\"$`\n", *c) != NULL) {
            abort();
        }
        if (*c != *expected++) {
            abort();
        }
    }
}

static void check_ini(const char *value)
{
    _cleanup_buffer_ struct buffer out = {0};
    if (format_escape(FORMAT_INI, value, &out, NULL) == 0 && out.data != NULL && strpbrk(out.data, "\r\n") != NULL) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *value = xstrndup((const char *)data, size);
    _cleanup_json_ json_t *text = json_string(value);
    if (text != NULL) { /* UTF-8, as every value of a context is */
        check_json(value);
        check_env(value);
        check_ini(value);
    }
    return 0;
}
