#include "lib/text/conf_file.h"

#include <errno.h>
#include <string.h>

#include "lib/core/util.h"
#include "lib/system/file.h"

#define LARGEST_FILE ((size_t)1 << 20)

/* libconfuse's error function has no context argument, and a section does not know its file: the name of what is being
 * parsed and the first complaint about it. */
static _Thread_local const char *parsed;
static _Thread_local char *complaint;

static void complain(cfg_t *cfg, const char *format, va_list args)
{
    if (complaint != NULL) {
        return;
    }
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0) {
        abort();
    }
    complaint = xasprintf("%s:%d: %s", parsed, cfg->line, text);
    free(text);
}

/* A walk over the text that blanks its comments and watches what is still open. */
struct scan {
    char *at;
    int line;
    int depth, opened; /* braces, and the line of the outermost open one */
};

static void blank(struct scan *scan, size_t len)
{
    for (; len > 0; len--, scan->at++) {
        if (*scan->at == '\n') {
            scan->line++;
        } else {
            *scan->at = ' ';
        }
    }
}

static int skip_string(struct scan *scan, const char *name, struct error **err)
{
    char quote = *scan->at++;
    int line = scan->line;
    for (; *scan->at != '\0' && *scan->at != quote; scan->at++) {
        if (*scan->at == '\\' && scan->at[1] != '\0') {
            scan->at++;
        }
        scan->line += *scan->at == '\n';
    }
    if (*scan->at == '\0') {
        return error_new(err, STATUS_CONFIG, "%s:%d: unterminated string", name, line);
    }
    scan->at++;
    return 0;
}

static bool at_line_comment(const struct scan *scan, const char *start)
{
    bool token_start = scan->at == start || strchr(" \t\r\n{}(),", scan->at[-1]) != NULL;
    return *scan->at == '#' || (token_start && str_starts(scan->at, "//"));
}

static int skip_comment(struct scan *scan, const char *name, struct error **err)
{
    const char *end = strstr(scan->at + 2, "*/");
    if (end == NULL) {
        return error_new(err, STATUS_CONFIG, "%s:%d: unterminated comment", name, scan->line);
    }
    blank(scan, (size_t)(end + 2 - scan->at));
    return 0;
}

static int take_character(struct scan *scan, const char *name, struct error **err)
{
    char c = *scan->at++;
    if (c == '\\') { /* libconfuse would write it to standard output */
        return error_new(err, STATUS_CONFIG, "%s:%d: a backslash stands outside quotes", name, scan->line);
    }
    scan->line += c == '\n';
    if (c == '{' && scan->depth++ == 0) {
        scan->opened = scan->line;
    }
    scan->depth -= c == '}';
    return 0;
}

/* Past what stands at the front, which is blanked when it is a comment. */
static int step(struct scan *scan, const char *start, const char *name, struct error **err)
{
    if (*scan->at == '"' || *scan->at == '\'') {
        return skip_string(scan, name, err);
    }
    if (at_line_comment(scan, start)) {
        blank(scan, strcspn(scan->at, "\n"));
        return 0;
    }
    return str_starts(scan->at, "/*") ? skip_comment(scan, name, err) : take_character(scan, name, err);
}

int conf_text_clean(char *text, const char *name, struct error **err)
{
    struct scan scan = {.at = text, .line = 1};
    while (*scan.at != '\0') {
        if (step(&scan, text, name, err) < 0) {
            return -1;
        }
    }
    if (scan.depth > 0) {
        return error_new(err, STATUS_CONFIG, "%s:%d: this \"{\" has no \"}\"", name, scan.opened);
    }
    return 0;
}

int conf_text_parse(cfg_t *cfg, const char *name, const char *text, size_t len, struct error **err)
{
    if (memchr(text, '\0', len) != NULL) {
        return error_new(err, STATUS_CONFIG, "%s: not a configuration file: it holds a NUL byte", name);
    }
    _cleanup_free_ char *copy = xstrndup(text, len);
    if (conf_text_clean(copy, name, err) < 0) {
        return -1;
    }
    cfg_set_error_function(cfg, complain);
    parsed = name;
    int r = cfg_parse_buf(cfg, copy);
    parsed = NULL;
    _cleanup_free_ char *reason = STEAL(complaint);
    if (reason != NULL) {
        return error_new(err, STATUS_CONFIG, "%s", reason);
    }
    return r == CFG_SUCCESS ? 0 : error_new(err, STATUS_CONFIG, "%s: not a configuration file", name);
}

int conf_file_parse(cfg_t *cfg, const char *path, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    _cleanup_error_ struct error *reason = NULL;
    if (file_read(path, LARGEST_FILE, &text, &len, &reason) < 0) {
        reason->status = STATUS_CONFIG;
        return error_move(err, &reason);
    }
    return conf_text_parse(cfg, path, text, len, err);
}

char *conf_file_string(cfg_t *cfg, const char *name)
{
    const char *value = cfg_getstr(cfg, name);
    return str_empty(value) ? NULL : xstrdup(value);
}

char **conf_file_list(cfg_t *cfg, const char *name)
{
    char **list = xcalloc(1, sizeof *list);
    for (unsigned i = 0; i < cfg_size(cfg, name); i++) {
        strv_push(&list, cfg_getnstr(cfg, name, i));
    }
    return list;
}
