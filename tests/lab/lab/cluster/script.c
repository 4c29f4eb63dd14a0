#include "tests/lab/lab/cluster/script.h"

#include <stdio.h>
#include <string.h>

#include "lib/system/file.h"

static char **split_lines(const char *text)
{
    char **lines = xcalloc(1, sizeof *lines);
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        _cleanup_free_ char *line = xstrndup(text, len);
        strv_push(&lines, line);
        text += len + (text[len] == '\n');
    }
    return lines;
}

static int read_lines(const char *path, char ***lines, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    if (file_read(path, 0, &text, &len, err) != 0) {
        return -1;
    }
    *lines = split_lines(text);
    return 0;
}

/* Adds what the blocks of DOCUMENT for MACHINE say to *LINES. */
static int add_commands(const struct lab *lab, const char *machine, const char *document, char ***lines,
                        struct error **err)
{
    _cleanup_free_ char *path = path_join(lab->source, document);
    _cleanup_free_ char *fence = xasprintf("```sh %s", machine);
    _cleanup_strv_ char **text = NULL;
    if (read_lines(path, &text, err) != 0) {
        return -1;
    }
    bool inside = false;
    size_t before = strv_length(*lines);
    for (char **line = text; *line != NULL; line++) {
        if (str_starts(*line, "```")) {
            inside = !inside && strcmp(*line, fence) == 0;
        } else if (inside) {
            _cleanup_free_ char *run = xasprintf("run %s %s", machine, *line);
            strv_push(lines, run);
        }
    }
    return strv_length(*lines) > before
               ? 0
               : error_new(err, STATUS_FILE, "%s has no block that begins with %s", document, fence);
}

int script_load(const struct lab *lab, const char *path, char ***lines, struct error **err)
{
    _cleanup_strv_ char **text = NULL;
    _cleanup_strv_ char **all = xcalloc(1, sizeof *all);
    if (read_lines(path, &text, err) != 0) {
        return -1;
    }
    for (char **line = text; *line != NULL; line++) {
        char machine[64];
        char document[256];
        if (sscanf(*line, "commands %63s %255s", machine, document) != 2) {
            strv_push(&all, *line);
        } else if (add_commands(lab, machine, document, &all, err) != 0) {
            return error_wrap(err, "%s", path);
        }
    }
    *lines = STEAL(all);
    return 0;
}
