#include "lib/text/utf8.h"

#include <stdbool.h>
#include <string.h>

#include "lib/core/util.h"

static bool follows(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t utf8_length(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    if (c[0] == '\0') {
        return 0;
    }
    if (c[0] < 0x80) {
        return 1;
    }
    if (c[0] >= 0xC2 && c[0] <= 0xDF) {
        return follows(c[1]) ? 2 : 0;
    }
    if (c[0] >= 0xE0 && c[0] <= 0xEF) {
        bool second = follows(c[1]) && !(c[0] == 0xE0 && c[1] < 0xA0) && !(c[0] == 0xED && c[1] > 0x9F);
        return second && follows(c[2]) ? 3 : 0;
    }
    if (c[0] >= 0xF0 && c[0] <= 0xF4) {
        bool second = follows(c[1]) && !(c[0] == 0xF0 && c[1] < 0x90) && !(c[0] == 0xF4 && c[1] > 0x8F);
        return second && follows(c[2]) && follows(c[3]) ? 4 : 0;
    }
    return 0;
}

char *utf8_text(const char *text, size_t most)
{
    static const char dots[] = "...";
    struct buffer out = {0};
    size_t cut = 0; /* the longest beginning that leaves room for the dots */
    buffer_puts(&out, "");
    while (*text != '\0') {
        size_t len = utf8_length(text);
        size_t bytes = len == 0 ? 1 : len;
        if (out.len + bytes > most) {
            out.len = cut;
            buffer_puts(&out, dots);
            break;
        }
        buffer_append(&out, len == 0 ? "?" : text, bytes);
        cut = out.len + strlen(dots) <= most ? out.len : cut;
        text += bytes;
    }
    return out.data;
}
