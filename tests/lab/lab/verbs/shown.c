/* monitor and tab: what AppCenter shows of a running cluster, as it shows it. */
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/lab/machine/services.h"
#include "tests/lab/lab/verbs/table.h"
#include "tests/lab/lab/verbs/verb.h"

#define MOST_ITEMS 50
#define MOST_COLUMNS 5
#define MOST_ROWS 225

/* What the service EVENT of MACHINE prints, as JSON; a new reference, NULL with *err. */
static json_t *printed(const struct lab *lab, const struct machine *machine, const char *event, struct error **err)
{
    _cleanup_proc_ struct proc_result result = {0};
    if (need_machine(machine, err) != 0) {
        return NULL;
    }
    if (service_run(lab, machine, event, NULL, &result, err) != 0) {
        (void)error_wrap(err, "%s: %s", machine->name, event);
        return NULL;
    }
    json_error_t why;
    json_t *value = json_loads(result.output == NULL ? "" : result.output, 0, &why);
    if (value == NULL) {
        (void)error_new(err, STATUS_FAILED, "%s: %s printed no JSON, line %d: %s; `lab logs %s %s` has what it printed",
                        machine->name, event, why.line, why.text, machine->name, event);
    }
    return value;
}

/* As the console shows it: scaled, with its unit. The caller frees. */
static char *item_text(const json_t *value, const json_t *item)
{
    const json_t *scale = json_object_get(item, "scale_factor_when_display");
    const char *unit = json_text_or(item, "unit", "");
    double factor = scale == NULL ? 1 : json_number_value(scale);
    if (json_is_integer(value) && factor != 1) {
        return xasprintf("%.1f %s", (double)json_integer_value(value) * factor, unit);
    }
    _cleanup_free_ char *text =
        json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
    return xasprintf("%s %s", text, unit);
}

/* What AppCenter would not take of VALUE; NULL: it does. */
static const char *item_fault(const json_t *value, const json_t *item)
{
    return item == NULL                                        ? "not an item of the app package"
           : !json_is_integer(value) && !json_is_string(value) ? "neither an integer nor a string"
                                                               : NULL;
}

static int add_items(struct table *table, const struct machine *machine, const json_t *values, const json_t *items,
                     struct error **err)
{
    const char *key;
    json_t *value;
    if (json_object_size(values) > MOST_ITEMS) {
        return error_new(err, STATUS_FAILED, "%s: more than %d items", machine->name, MOST_ITEMS);
    }
    json_object_foreach ((json_t *)values, key, value) {
        const json_t *item = json_object_get(items, key);
        _cleanup_free_ char *text = item_text(value, item);
        const char *cells[] = {machine->name, key, text, item_fault(value, item)};
        table_row(table, ELEMENTS(cells), cells);
    }
    json_object_foreach ((json_t *)items, key, value) {
        if (json_object_get(values, key) == NULL) {
            const char *cells[] = {machine->name, key, NULL, "not printed"};
            table_row(table, ELEMENTS(cells), cells);
        }
    }
    return 0;
}

static int monitor_machine(const struct lab *lab, const struct machine *machine, struct table *table, json_t *all,
                           struct error **err)
{
    _cleanup_json_ json_t *values = printed(lab, machine, "monitor", err);
    if (values == NULL) {
        return -1;
    }
    json_object_set(all, machine->name, values);
    return add_items(table, machine, values, package_monitor_items(lab->package, machine->role), err);
}

int verb_monitor(struct lab *lab, char **argv, struct error **err)
{
    static const char *const heads[] = {"MACHINE", "ITEM", "VALUE", "REFUSED"};
    bool json = take_option(&argv, "--json");
    const struct machine *only = *argv == NULL ? NULL : lab_find(lab, *argv, err);
    _cleanup_table_ struct table table = {0};
    _cleanup_json_ json_t *all = json_object();
    if (*argv != NULL && (only == NULL || take_end(argv + 1, err) != 0)) {
        return -1;
    }
    table_row(&table, ELEMENTS(heads), heads);
    for (size_t i = 0; i < lab->n_machines; i++) {
        const struct machine *m = lab->machines[i];
        struct service service;
        bool has = package_service(lab->package, m->role, "monitor", &service);
        if (m == only && !has) {
            return error_new(err, STATUS_USAGE, "the role %s has no monitor", m->role);
        }
        if (has && (only == NULL || m == only) && monitor_machine(lab, m, &table, all, err) != 0) {
            return -1;
        }
    }
    if (json) {
        _cleanup_free_ char *text = json_dumps(all, JSON_INDENT(2));
        printf("%s\n", text);
    } else {
        table_print(&table, stdout);
    }
    return 0;
}

static void add_cells(struct table *table, size_t columns, const json_t *row)
{
    const char *cells[MOST_COLUMNS] = {NULL};
    char *made[MOST_COLUMNS] = {NULL};
    for (size_t i = 0; i < columns; i++) {
        const json_t *cell = json_array_get(row, i);
        made[i] = json_is_string(cell) || cell == NULL ? NULL : json_dumps(cell, JSON_ENCODE_ANY);
        cells[i] = made[i] != NULL ? made[i] : json_string_value(cell);
    }
    table_row(table, columns, cells);
    for (size_t i = 0; i < columns; i++) {
        free(made[i]);
    }
}

static int print_tab(const struct machine *machine, const json_t *shown, struct error **err)
{
    const json_t *labels = json_object_get(shown, "labels");
    const json_t *data = json_object_get(shown, "data");
    size_t columns = json_array_size(labels);
    _cleanup_table_ struct table table = {0};
    if (columns == 0 || columns > MOST_COLUMNS || !json_is_array(data) || json_array_size(data) > MOST_ROWS) {
        return error_new(err, STATUS_FAILED,
                         "%s: AppCenter requires 1 to %d labels and at most %d rows of data; there are %zu and %zu",
                         machine->name, MOST_COLUMNS, MOST_ROWS, columns, json_array_size(data));
    }
    add_cells(&table, columns, labels);
    size_t i;
    json_t *row;
    json_array_foreach (data, i, row) {
        if (json_array_size(row) != columns) {
            return error_new(err, STATUS_FAILED, "%s: row %zu has %zu cells for %zu labels", machine->name, i + 1,
                             json_array_size(row), columns);
        }
        add_cells(&table, columns, row);
    }
    table_print(&table, stdout);
    return 0;
}

static int refuse_tab(const struct lab *lab, const char *name, struct error **err)
{
    _cleanup_buffer_ struct buffer names = {0};
    const char *key;
    json_t *tab;
    buffer_puts(&names, "");
    json_object_foreach (json_object_get(lab->package, "display_tabs"), key, tab) {
        buffer_printf(&names, " %s", key);
    }
    return error_new(err, STATUS_USAGE, "%s%s%sthe app package has the tabs:%s", name == NULL ? "" : "no tab '",
                     name == NULL ? "" : name, name == NULL ? "which tab? " : "': ", names.data);
}

int verb_tab(struct lab *lab, char **argv, struct error **err)
{
    bool json = take_option(&argv, "--json");
    const char *name = *argv;
    if (name == NULL || json_object_get(json_object_get(lab->package, "display_tabs"), name) == NULL) {
        return refuse_tab(lab, name, err);
    }
    if (take_end(argv + 1, err) != 0) {
        return -1;
    }
    _cleanup_free_ char *event = xasprintf("tab %s", name);
    for (size_t i = 0; i < lab->n_machines; i++) {
        const struct machine *m = lab->machines[i];
        struct service service;
        if (!package_service(lab->package, m->role, event, &service)) {
            continue;
        }
        _cleanup_json_ json_t *shown = printed(lab, m, event, err);
        if (shown == NULL) {
            return -1;
        }
        _cleanup_free_ char *text = json_dumps(shown, JSON_INDENT(2));
        if (json) {
            printf("%s\n", text);
        } else if (print_tab(m, shown, err) != 0) {
            return -1;
        }
    }
    return 0;
}
