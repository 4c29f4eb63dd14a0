#include "bake/conf/parse.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/text/conf_file.h"

/* libconfuse gives its callbacks no pointer of ours. */
static struct error **parse_error;

static void beside(char out[PATH_MAX], const char *filename, const char *path)
{
    const char *slash = filename == NULL ? NULL : strrchr(filename, '/');
    if (path[0] == '/' || path[0] == '\0' || slash == NULL) {
        (void)snprintf(out, PATH_MAX, "%s", path);
    } else {
        (void)snprintf(out, PATH_MAX, "%.*s/%s", (int)(slash - filename), filename, path);
    }
}

int parse_path(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    static char path[PATH_MAX];
    (void)opt;
    beside(path, cfg->filename, value);
    *(const char **)result = path;
    return 0;
}

/* v1.MINOR.PATCH, and perhaps what follows a "-" or "+" */
static bool is_version(const char *value)
{
    size_t minor = strspn(value + (str_starts(value, "v1.") ? 3 : 0), "0123456789");
    const char *rest = value + 3 + minor;
    if (!str_starts(value, "v1.") || minor == 0 || minor > 2 || *rest != '.') {
        return false;
    }
    size_t patch = strspn(rest + 1, "0123456789");
    return patch > 0 && patch < 4 && (rest[1 + patch] == '\0' || strchr("-+", rest[1 + patch]) != NULL);
}

int parse_kubernetes(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    (void)opt;
    if (!is_version(value)) {
        cfg_error(cfg, "kubernetes is \"%s\": a version as v1.20.2 is expected", value);
        return -1;
    }
    (void)setenv("kubernetes", value, 1);
    *(const char **)result = value;
    return 0;
}

/* libconfuse takes an unset ${name} for an empty string. */
static int check_variables(const char *path, const char *text, struct error **err)
{
    int line = 1;
    bool comment = false;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\n') {
            line++;
            comment = false;
        } else if (*p == '#') {
            comment = true;
        } else if (!comment && p[0] == '$' && p[1] == '{') {
            size_t len = strcspn(p + 2, ":}\n");
            _cleanup_free_ char *name = xstrndup(p + 2, len);
            bool own = strcmp(name, "kubernetes") == 0; /* by parse_kubernetes */
            if (!own && getenv(name) == NULL && strncmp(p + 2 + len, ":-", 2) != 0) {
                return error_new(err, STATUS_CONFIG, "%s:%d: ${%s} has no value: give --set %s=VALUE", path, line, name,
                                 name);
            }
        }
    }
    return 0;
}

static int read_text(const char *path, char **text, struct error **err)
{
    size_t len = 0;
    if (file_read(path, 1024L * 1024, text, &len, err) < 0) {
        if (err != NULL) {
            (*err)->status = STATUS_CONFIG;
        }
        return -1;
    }
    return check_variables(path, *text, err) < 0 ? -1 : conf_text_clean(*text, path, err);
}

/* As cfg_parse, with the right lines. It may be called while another file is being parsed. */
static int parse_into(cfg_t *cfg, const char *path, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    if (read_text(path, &text, err) < 0) {
        return -1;
    }
    _cleanup_fclose_ FILE *file = fmemopen(text, strlen(text), "r");
    if (file == NULL) {
        return error_errno(err, STATUS_CONFIG, errno, "reading %s", path);
    }
    char *outer = cfg->filename;
    int line = cfg->line;
    cfg->filename = xstrdup(path);
    int result = cfg_parse_fp(cfg, file);
    free(cfg->filename);
    cfg->filename = outer;
    cfg->line = line;
    return result == CFG_SUCCESS ? 0 : error_new(err, STATUS_CONFIG, "%s: not a configuration file", path);
}

int parse_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
    char path[PATH_MAX];
    (void)opt;
    if (argc != 1) {
        cfg_error(cfg, "include takes one file");
        return -1;
    }
    beside(path, cfg->filename, argv[0]);
    _cleanup_error_ struct error *why = NULL;
    if (parse_into(cfg, path, &why) < 0) {
        cfg_error(cfg, "%s", why->message);
        return -1;
    }
    return 0;
}

static void keep_error(cfg_t *cfg, const char *format, va_list args)
{
    char text[512];
    (void)vsnprintf(text, sizeof text, format, args);
    if (parse_error == NULL || *parse_error != NULL) {
        return; /* the first one is the cause */
    }
    if (cfg != NULL && cfg->filename != NULL && cfg->line > 0) {
        error_new(parse_error, STATUS_CONFIG, "%s:%d: %s", cfg->filename, cfg->line, text);
    } else {
        error_new(parse_error, STATUS_CONFIG, "%s", text);
    }
}

/* Runs after each value; a value's line is kept in the annotation that libconfuse has for each option. */
static int note_line(cfg_t *cfg, cfg_opt_t *opt)
{
    if (cfg_opt_getcomment(opt) == NULL) {
        _cleanup_free_ char *where = xasprintf("%s:%d", cfg->filename, cfg->line);
        (void)cfg_opt_setcomment(opt, where);
    }
    return 0;
}

static void note_lines(cfg_opt_t *opts)
{
    for (cfg_opt_t *opt = opts; opt->name != NULL; opt++) {
        if (opt->type == CFGT_SEC) {
            note_lines(opt->subopts);
        } else if (opt->type != CFGT_FUNC) {
            opt->validcb = note_line;
        }
    }
}

int parse_file(cfg_t *cfg, const char *path, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    _cleanup_error_ struct error *failed = NULL;
    parse_error = &why;
    cfg_set_error_function(cfg, keep_error);
    note_lines(cfg->opts);
    int result = parse_into(cfg, path, &failed);
    parse_error = NULL;
    if (result < 0) {
        struct error **reason = why != NULL ? &why : &failed;
        (*reason)->status = STATUS_CONFIG;
        return error_move(err, reason);
    }
    return 0;
}

char *parse_where_option(const cfg_opt_t *opt)
{
    const char *where = cfg_opt_getcomment((cfg_opt_t *)opt);
    return xstrdup(where == NULL ? "default" : where);
}

char *parse_where_section(cfg_t *section)
{
    const char *first = NULL;
    long lowest = LONG_MAX;
    for (cfg_opt_t *opt = section->opts; opt->name != NULL; opt++) {
        const char *where = cfg_opt_getcomment(opt);
        const char *colon = where == NULL ? NULL : strrchr(where, ':');
        long line = colon == NULL ? LONG_MAX : strtol(colon + 1, NULL, 10);
        if (line < lowest) {
            lowest = line;
            first = where;
        }
    }
    return first != NULL ? xstrdup(first) : xasprintf("%s:%d", section->filename, section->line);
}
