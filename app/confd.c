#include "app/confd.h"

#include <string.h>

#include "lib/core/util.h"
#include "lib/system/file.h"

#define BLANKS " \t\r\n"

/* Past blanks, line ends and comments. */
static const char *skip(const char *at)
{
    for (at += strspn(at, BLANKS); *at == '#'; at += strspn(at, BLANKS)) {
        at += strcspn(at, "\n");
    }
    return at;
}

/* Past `nodes = [` when that is what LINE begins with, else NULL. */
static const char *nodes_list(const char *line)
{
    line += strspn(line, " \t");
    if (!str_starts(line, "nodes")) {
        return NULL;
    }
    line += strlen("nodes");
    line += strspn(line, " \t");
    if (*line != '=') {
        return NULL;
    }
    line++;
    line += strspn(line, " \t");
    return *line == '[' ? line + 1 : NULL;
}

static char **parse_strings(const char *at)
{
    char **strings = xcalloc(1, sizeof *strings);
    for (at = skip(at); *at == '"' || *at == '\''; at = skip(at)) {
        const char *end = strchr(at + 1, *at);
        if (end == NULL) {
            break;
        }
        _cleanup_free_ char *text = xstrndup(at + 1, (size_t)(end - at - 1));
        _cleanup_free_ char *url = xasprintf("%s%s", strstr(text, "://") == NULL ? "http://" : "", text);
        if (*text != '\0') {
            strv_push(&strings, url);
        }
        at = skip(end + 1);
        if (*at != ',') {
            break;
        }
        at++;
    }
    return strings;
}

char **confd_parse_nodes(const char *text)
{
    while (text != NULL) {
        const char *list = nodes_list(text);
        if (list != NULL) {
            return parse_strings(list);
        }
        text = strchr(text, '\n');
        text = text == NULL ? NULL : text + 1;
    }
    return xcalloc(1, sizeof(char *));
}

char **confd_nodes(const char *path)
{
    _cleanup_fclose_ FILE *file = path == NULL ? NULL : file_stream(path);
    _cleanup_buffer_ struct buffer text = {0};
    char block[1024];
    size_t len = 0;
    while (file != NULL && (len = fread(block, 1, sizeof block, file)) > 0) {
        buffer_append(&text, block, len);
    }
    return confd_parse_nodes(text.data);
}
