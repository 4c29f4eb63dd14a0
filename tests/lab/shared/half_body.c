#include "tests/lab/shared/half_body.h"

#include <string.h>

#include <microhttpd.h>

ssize_t half_body(void *context, uint64_t at, char *out, size_t size)
{
    const char *body = context;
    size_t half = strlen(body) / 2;
    if (at >= half) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t len = half - (size_t)at < size ? half - (size_t)at : size;
    memcpy(out, body + at, len);
    return (ssize_t)len;
}
