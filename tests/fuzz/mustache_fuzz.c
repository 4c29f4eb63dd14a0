/* Input: a byte of options, the context as JSON, a NUL, the template; partials are the files of templates/. */
#include <stdint.h>
#include <string.h>

#include "lib/text/mustache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data + 1, '\0', size - 1);
    if (end == NULL) {
        return 0;
    }
    _cleanup_json_ json_t *context =
        json_loadb((const char *)data + 1, (size_t)(end - data) - 1, JSON_DECODE_ANY, NULL);
    if (context == NULL) {
        return 0;
    }
    const struct mustache_options options = {
        .format = (enum format)((data[0] & 7) % 6),
        .strict = (data[0] & 8) != 0,
        .partials = (data[0] & 16) != 0 ? "templates" : NULL,
    };
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_error_ struct error *err = NULL;
    buffer_puts(&out, "before");
    int result =
        mustache_render("t", (const char *)end + 1, size - (size_t)(end - data) - 1, context, &options, &out, &err);
    if ((result < 0) != (err != NULL) || (result < 0 && out.len != strlen("before")) ||
        (err != NULL && err->status != STATUS_TEMPLATE)) {
        abort();
    }
    return 0;
}
