/* `events`: what ran, from the record. */
#include <inttypes.h>
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/lab/form/locale.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/table.h"
#include "tests/lab/lab/verbs/verb.h"

static bool of_machine(const json_t *entry, const char *name)
{
    const char *machine = json_text(entry, "machine");
    return name == NULL || (machine != NULL && strcmp(machine, name) == 0);
}

/* Whether the event of BEGIN has an end further down. */
static bool has_ended(const json_t *entries, size_t begin)
{
    const char *id = json_text(json_array_get(entries, begin), "id");
    for (size_t i = begin + 1; i < json_array_size(entries); i++) {
        const char *other = json_text(json_array_get(entries, i), "id");
        if (id != NULL && other != NULL && strcmp(id, other) == 0) {
            return true;
        }
    }
    return false;
}

/* What is shown: ends, beginnings without one, health, faults and actions. A new reference. */
static json_t *shown(const json_t *entries, const char *name, long last)
{
    json_t *all = json_array();
    size_t i;
    json_t *entry;
    json_array_foreach (entries, i, entry) {
        bool begin = strcmp(json_text_or(entry, "kind", ""), "begin") == 0;
        if (of_machine(entry, name) && !(begin && has_ended(entries, i))) {
            json_array_append(all, entry);
        }
    }
    while (last > 0 && json_array_size(all) > (size_t)last) {
        json_array_remove(all, 0);
    }
    return all;
}

/* Event, fault or health of ENTRY in a word or two; the caller frees. */
static char *what(const json_t *entry)
{
    const char *kind = json_text_or(entry, "kind", "");
    if (strcmp(kind, "health") == 0) {
        return xstrdup(json_text_or(entry, "health", "?"));
    }
    if (strcmp(kind, "fault") == 0) {
        return xasprintf("fault %s %ss", json_text_or(entry, "fault", "?"), json_text_or(entry, "state", "?"));
    }
    return xstrdup(json_text_or(entry, strcmp(kind, "action") == 0 ? "action" : "event", "?"));
}

static char *status_of(const json_t *entry)
{
    const json_t *status = json_object_get(entry, "status");
    if (status != NULL) {
        return xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(status));
    }
    return strcmp(json_text_or(entry, "kind", ""), "begin") != 0 ? NULL
           : record_runs(entry)                                  ? xstrdup("runs")
                                                                 : xstrdup("killed");
}

static void add_row(struct table *table, const json_t *entry)
{
    const json_t *began = json_object_get(entry, "begin_ns");
    int64_t at = json_integer_value(began != NULL ? began : json_object_get(entry, "at_ns"));
    const json_t *ms = json_object_get(entry, "ms");
    const json_t *texts = json_object_get(entry, "text");
    const char *english = json_text(texts, "en");
    const char *chinese = json_text(texts, "zh");
    _cleanup_free_ char *time = record_time(at);
    _cleanup_free_ char *length = ms == NULL ? NULL : xasprintf("%.1f s", (double)json_integer_value(ms) / 1000);
    _cleanup_free_ char *event = what(entry);
    _cleanup_free_ char *status = status_of(entry);
    _cleanup_free_ char *text =
        english == NULL ? NULL
                        : xasprintf("%s%s%s", english, chinese == NULL ? "" : " / ", chinese == NULL ? "" : chinese);
    const char *machine = json_text_or(entry, "machine", "(cluster)");
    const char *cells[] = {time, machine, event, length, status, text};
    table_row(table, ELEMENTS(cells), cells);
}

int verb_events(struct lab *lab, char **argv, struct error **err)
{
    static const char *const heads[] = {"BEGAN", "MACHINE", "EVENT", "LASTED", "STATUS", "TEXT"};
    bool json = take_option(&argv, "--json");
    const char *count = NULL;
    long last = 0;
    if (take_value(&argv, "-n", &count, err) != 0) {
        return -1;
    }
    if (count != NULL && !str_number(count, 1, 1000000, &last)) {
        return error_new(err, STATUS_USAGE, "-n %s: a number from 1 is required", count);
    }
    json = json || take_option(&argv, "--json");
    if (*argv != NULL && (lab_find(lab, *argv, err) == NULL || take_end(argv + 1, err) != 0)) {
        return -1;
    }
    const char *name = *argv == NULL ? NULL : lab_find(lab, *argv, NULL)->name;
    _cleanup_json_ json_t *entries = record_read(lab);
    _cleanup_json_ json_t *all = shown(entries, name, last);
    _cleanup_table_ struct table table = {0};
    size_t i;
    json_t *entry;
    table_row(&table, ELEMENTS(heads), heads);
    json_array_foreach (all, i, entry) {
        if (json) {
            _cleanup_free_ char *line = json_dumps(entry, JSON_COMPACT);
            printf("%s\n", line);
        }
        add_row(&table, entry);
    }
    if (!json) {
        table_print(&table, stdout);
    }
    return 0;
}
