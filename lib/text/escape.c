#include <string.h>

#include "lib/text/mustache.h"

static const char *const format_names[] = {
    [FORMAT_PLAIN] = "plain", [FORMAT_HTML] = "html", [FORMAT_JSON] = "json",
    [FORMAT_YAML] = "yaml",   [FORMAT_ENV] = "env",   [FORMAT_INI] = "ini",
};

bool format_by_name(const char *name, enum format *format)
{
    for (size_t i = 0; i < ELEMENTS(format_names); i++) {
        if (strcmp(name, format_names[i]) == 0) {
            *format = (enum format)i;
            return true;
        }
    }
    return false;
}

static bool is_control(char c)
{
    return (c >= 0 && c < ' ') || c == '\x7f';
}

/* Appends VALUE with each byte of SPECIAL put through WRITE. */
static void append_escaped(const char *value, const char *special, void (*write)(char c, struct buffer *out),
                           struct buffer *out)
{
    for (;;) {
        size_t plain = strcspn(value, special);
        buffer_append(out, value, plain);
        value += plain;
        if (*value == '\0') {
            return;
        }
        write(*value++, out);
    }
}

static void write_html(char c, struct buffer *out)
{
    buffer_puts(out, c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : "&quot;");
}

static void write_backslash(char c, struct buffer *out)
{
    buffer_append(out, (char[]){'\\', c}, 2);
}

static void write_twice(char c, struct buffer *out)
{
    buffer_append(out, (char[]){c, c}, 2);
}

static int refuse_controls(enum format format, const char *value, struct error **err)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (is_control(*c)) {
            return error_new(err, STATUS_TEMPLATE,
                             "the value holds the control character 0x%02x, which format %s cannot", (unsigned char)*c,
                             format_names[format]);
        }
    }
    return 0;
}

/* The code point of the UTF-8 sequence of two or three bytes at S, *LEN bytes; 0 for anything else. */
static unsigned code_point(const char *s, size_t *len)
{
    const unsigned char *u = (const unsigned char *)s;
    if ((u[0] & 0xe0) == 0xc0 && (u[1] & 0xc0) == 0x80) {
        *len = 2;
        return (u[0] & 0x1fU) << 6 | (u[1] & 0x3fU);
    }
    if ((u[0] & 0xf0) == 0xe0 && (u[1] & 0xc0) == 0x80 && (u[2] & 0xc0) == 0x80) {
        *len = 3;
        return (u[0] & 0x0fU) << 12 | (u[1] & 0x3fU) << 6 | (u[2] & 0x3fU);
    }
    return 0;
}

/* Characters beyond ASCII that YAML 1.1 and 1.2 take for line breaks or do not take at all (spec 1.2, 5.1 and 5.4). */
static bool yaml_needs_escape(unsigned point)
{
    return (point >= 0x80 && point <= 0x9f) || point == 0x2028 || point == 0x2029 || point == 0xfeff ||
           point == 0xfffe || point == 0xffff;
}

/* One writer for both: every JSON string is also a YAML double-quoted one. */
static void append_quoted(const char *value, struct buffer *out)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    const char *plain = value;
    while (*value != '\0') {
        size_t len = 1;
        unsigned char c = (unsigned char)*value;
        unsigned point = c < 0x80 ? c : code_point(value, &len);
        bool backslash = c == '"' || c == '\\';
        if (!backslash && !is_control(*value) && !yaml_needs_escape(point)) {
            value += len;
            continue;
        }
        buffer_append(out, plain, (size_t)(value - plain));
        if (backslash) {
            write_backslash(*value, out);
        } else if (point < sizeof letters && letters[point] != 0) {
            write_backslash(letters[point], out);
        } else {
            buffer_printf(out, "\\u%04x", point);
        }
        value += len;
        plain = value;
    }
    buffer_append(out, plain, (size_t)(value - plain));
}

/* What readers of such files disagree on is refused: a comment sign where many see one, a line that goes on. */
static int check_ini(const char *value, struct error **err)
{
    size_t len = strlen(value);
    if (len == 0) {
        return 0;
    }
    if (value[0] == ' ' || value[len - 1] == ' ') {
        return error_new(err, STATUS_TEMPLATE, "the value begins or ends with a blank, which format ini would lose");
    }
    if (value[len - 1] == '\\') {
        return error_new(err, STATUS_TEMPLATE, "the value ends with \"\\\", which continues the line in format ini");
    }
    for (const char *c = value; (c = strpbrk(c, ";#")) != NULL; c++) {
        if (c == value || c[-1] == ' ') {
            return error_new(err, STATUS_TEMPLATE, "the value holds \"%c\" where format ini begins a comment", *c);
        }
    }
    return 0;
}

int format_escape(enum format format, const char *value, struct buffer *out, struct error **err)
{
    switch (format) {
    case FORMAT_PLAIN:
        buffer_puts(out, value);
        return 0;
    case FORMAT_HTML:
        append_escaped(value, "&<>\"", write_html, out);
        return 0;
    case FORMAT_JSON:
    case FORMAT_YAML:
        append_quoted(value, out);
        return 0;
    case FORMAT_ENV:
        if (refuse_controls(format, value, err) < 0) {
            return -1;
        }
        append_escaped(value, "\"\\$`", write_backslash, out);
        return 0;
    case FORMAT_INI:
        if (refuse_controls(format, value, err) < 0 || check_ini(value, err) < 0) {
            return -1;
        }
        append_escaped(value, "%", write_twice, out);
        return 0;
    }
    return error_new(err, STATUS_TEMPLATE, "unknown format %d", (int)format);
}
