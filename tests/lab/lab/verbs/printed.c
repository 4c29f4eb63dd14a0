/* What a service printed, for who ran it by hand. */
#include <stdio.h>
#include <string.h>

#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/verbs/verb.h"

/* Whether LINE, of LEN bytes, is a line of TEXT. */
static bool has_line(const char *text, const char *line, size_t len)
{
    for (const char *at = text; at != NULL && *at != '\0'; at = strchr(at, '\n'), at = at == NULL ? NULL : at + 1) {
        if (strncmp(at, line, len) == 0 && (at[len] == '\n' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* MESSAGE ends with the last lines of both outputs: those of OUTPUT stand on the terminal already. */
static void drop_lines(char *message, const char *output)
{
    char *to = message;
    for (char *at = message; *at != '\0';) {
        size_t len = strcspn(at, "\n");
        size_t whole = len + (at[len] == '\n');
        if (at == message || !has_line(output, at, len)) {
            memmove(to, at, whole);
            to += whole;
        }
        at += whole;
    }
    *to = '\0';
}

int print_result(const struct machine *machine, const char *event, int r, const struct proc_result *result,
                 struct error **err)
{
    const char *output = result->output == NULL ? "" : result->output;
    (void)fputs(output, stdout);
    (void)fflush(stdout);
    if (r == 0) {
        return 0;
    }
    drop_lines((*err)->message, output);
    return error_wrap(err, "%s: %s", machine->name, event);
}
