#include <stdio.h>
#include <string.h>

#include "app/status.h"
#include "hooks/tools/tools.h"
#include "lib/core/util.h"

/* As the README's table, or with --json for the app package's err_codeN texts. */
int statuses_main(int argc, char **argv)
{
    bool as_json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 1 && !as_json) {
        (void)fputs("Usage: k8s-hook statuses [--json]\n", stderr);
        return STATUS_USAGE;
    }
    _cleanup_json_ json_t *all = json_array();
    for (const struct status_row *row = status_rows; row->name != NULL; row++) {
        if (as_json) {
            json_array_append_new(all, json_pack("{si ss ss ss ss}", "status", (int)row->status, "name", row->name,
                                                 "en", row->english, "zh-cn", row->chinese, "remedy", row->remedy));
        } else {
            printf("| %d | %s | %s | %s |\n", (int)row->status, row->english, row->chinese, row->remedy);
        }
    }
    if (as_json) {
        _cleanup_free_ char *text = json_dumps(all, JSON_INDENT(2));
        puts(text);
    }
    return STATUS_OK;
}
