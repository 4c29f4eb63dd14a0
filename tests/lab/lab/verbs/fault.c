/* `fault`: faults on demand. */
#include <inttypes.h>
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/lab/faults/fault.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/table.h"
#include "tests/lab/lab/verbs/verb.h"

static int list(const struct lab *lab)
{
    static const char *const heads[] = {"ID", "FAULT", "MACHINE", "ARGUMENT", "UNTIL"};
    _cleanup_json_ json_t *faults = fault_list(lab);
    _cleanup_table_ struct table table = {0};
    size_t i;
    json_t *fault;
    table_row(&table, ELEMENTS(heads), heads);
    json_array_foreach (faults, i, fault) {
        int64_t until = json_integer_value(json_object_get(fault, "until_ns"));
        _cleanup_free_ char *time = until == 0 ? NULL : record_time(until);
        const char *cells[] = {json_text(fault, "id"), json_text(fault, "fault"), json_text(fault, "machine"),
                               json_text(fault, "argument"), time == NULL ? "it is ended" : time};
        table_row(&table, ELEMENTS(cells), cells);
    }
    if (json_array_size(faults) == 0) {
        printf("no faults\n");
    } else {
        table_print(&table, stdout);
    }
    return 0;
}

/* WHICH is an id, a kind, a machine, or "all". */
static int end(struct lab *lab, const char *which, struct error **err)
{
    static const char *const keys[] = {"id", "fault", "machine"};
    _cleanup_json_ json_t *faults = fault_list(lab);
    bool any = false;
    size_t i;
    json_t *fault;
    json_array_foreach (faults, i, fault) {
        bool meant = strcmp(which, "all") == 0;
        for (size_t k = 0; k < ELEMENTS(keys); k++) {
            meant = meant || strcmp(json_text_or(fault, keys[k], ""), which) == 0;
        }
        any = any || meant;
        if (meant && fault_end(lab, json_text_or(fault, "id", ""), err) != 0) {
            return -1;
        }
    }
    return any || strcmp(which, "all") == 0
               ? 0
               : error_new(err, STATUS_USAGE, "no fault is '%s', by id, kind or machine: `lab fault` lists them",
                           which);
}

static int refuse_kind(const char *name, struct error **err)
{
    _cleanup_buffer_ struct buffer names = {0};
    buffer_puts(&names, "");
    for (const struct fault_kind *kind = fault_kinds; kind->name != NULL; kind++) {
        buffer_printf(&names, " %s", kind->name);
    }
    return error_new(err, STATUS_USAGE, "no fault '%s'; there are:%s", name, names.data);
}

static bool needs_argument(const struct fault_kind *kind)
{
    const char *last = strrchr(kind->arguments, ' ');
    return kind->on_machine && last != NULL && last[1] != '[';
}

/* ARGV is the fault's name and its arguments; LENGTH in seconds, 0: until it is ended. */
static int begin(struct lab *lab, char **argv, long length, struct error **err)
{
    const struct fault_kind *kind = fault_kind(*argv);
    char *const *words = argv + 1;
    if (kind == NULL) {
        return refuse_kind(*argv, err);
    }
    size_t n = strv_length(words);
    size_t least = (size_t)kind->on_machine + needs_argument(kind);
    size_t most = *kind->arguments == '\0' ? 0 : (size_t)kind->on_machine + (strcmp(kind->arguments, "MACHINE") != 0);
    if (n < least || n > most || (length > 0 && kind->once)) {
        return error_new(err, STATUS_USAGE, "fault %s%s%s%s", kind->name, *kind->arguments == '\0' ? "" : " ",
                         kind->arguments, kind->once ? "" : " [--for SECONDS]");
    }
    const char *machine = kind->on_machine ? words[0] : NULL;
    const char *argument = n > (size_t)kind->on_machine ? words[kind->on_machine] : NULL;
    _cleanup_free_ char *id = NULL;
    if (fault_begin(lab, kind, machine, argument, length, &id, err) != 0) {
        return -1;
    }
    if (!kind->once) {
        printf("%s\n", id);
    }
    return 0;
}

int verb_fault(struct lab *lab, char **argv, struct error **err)
{
    if (*argv == NULL || strcmp(*argv, "keep") != 0) {
        if (fault_end_overdue(lab, err) != 0) {
            return -1;
        }
    }
    const char *seconds = NULL;
    long length = 0;
    if (take_value(&argv, "--for", &seconds, err) != 0) {
        return -1;
    }
    if (seconds != NULL && !str_number(seconds, 1, 86400, &length)) {
        return error_new(err, STATUS_USAGE, "--for %s: seconds of 1 to 86400", seconds);
    }
    if (*argv == NULL && seconds == NULL) {
        return list(lab);
    }
    if (*argv == NULL) {
        return error_new(err, STATUS_USAGE, "fault FAULT [MACHINE] [ARGUMENT] [--for SECONDS]");
    }
    if (strcmp(*argv, "end") == 0) {
        return argv[1] == NULL || argv[2] != NULL || seconds != NULL
                   ? error_new(err, STATUS_USAGE, "fault end ID|FAULT|MACHINE|all")
                   : end(lab, argv[1], err);
    }
    if (strcmp(*argv, "keep") == 0 && argv[1] != NULL) {
        return fault_keep(lab, argv[1], err);
    }
    return begin(lab, argv, length, err);
}
