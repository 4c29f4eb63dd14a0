#include <stdio.h>
#include <string.h>

#include "app/status.h"
#include "hooks/tools/tools.h"
#include "lib/core/util.h"

static const char usage[] = "Usage: k8s-hook statuses [--json|--man]\n"
                            "           every exit status with its meaning and remedy: as a table of Markdown, as\n"
                            "           JSON, or as the rows of k8s-hooks(7)\n";

static void print_markdown(void)
{
    for (const struct status_row *row = status_rows; row->name != NULL; row++) {
        printf("| %d | %s | %s | %s |\n", row->status, row->english, row->chinese, row->remedy);
    }
}

/* For AppCenter's err_codeN texts: `make statuses`. */
static void print_json(void)
{
    _cleanup_json_ json_t *all = json_array();
    for (const struct status_row *row = status_rows; row->name != NULL; row++) {
        json_array_append_new(all, json_pack("{si ss ss ss ss}", "status", row->status, "name", row->name, "en",
                                             row->english, "zh-cn", row->chinese, "remedy", row->remedy));
    }
    _cleanup_free_ char *text = json_dumps(all, JSON_INDENT(2));
    puts(text);
}

/* TEXT as a line of roff. */
static void print_roff(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || *text == '-') {
            printf(*text == '-' ? "\\-" : "\\e");
        } else if (*text == '\'') {
            printf("\\(aq");
        } else {
            (void)putchar(*text);
        }
    }
    puts(".");
}

static void print_man(void)
{
    for (const struct status_row *row = status_rows; row->name != NULL; row++) {
        printf(".TP\n.B %d\n", row->status);
        print_roff(row->english);
        if (row->status != STATUS_OK) {
            puts(".br");
            print_roff(row->remedy);
        }
    }
}

int statuses_main(int argc, char **argv)
{
    static const struct {
        const char *option;
        void (*print)(void);
    } forms[] = {{NULL, print_markdown}, {"--json", print_json}, {"--man", print_man}};
    for (size_t i = 0; i < ELEMENTS(forms) && argc <= 2; i++) {
        if (argc == 1 || (forms[i].option != NULL && strcmp(argv[1], forms[i].option) == 0)) {
            forms[i].print();
            return STATUS_OK;
        }
    }
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
    (void)fputs(usage, help ? stdout : stderr);
    return help ? STATUS_OK : STATUS_USAGE;
}
