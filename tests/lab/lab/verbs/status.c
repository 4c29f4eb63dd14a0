/* `status`: machines, what runs on them, and their health as AppCenter shows it. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/table.h"
#include "tests/lab/lab/verbs/verb.h"

#define NS_PER_S 1000000000

static int64_t number(const json_t *entry, const char *key)
{
    return json_integer_value(json_object_get(entry, key));
}

static bool is(const json_t *entry, const char *key, const char *value)
{
    const char *text = json_text(entry, key);
    return text != NULL && value != NULL && strcmp(text, value) == 0;
}

/* The step that the hook of MACHINE is in; NULL: in none. The caller frees. */
static char *current_step(const struct machine *machine)
{
    static const char *const places[] = {STATE_ON_DATA, STATE_ON_SYSTEM};
    for (size_t i = 0; i < ELEMENTS(places); i++) {
        _cleanup_free_ char *path = xasprintf("/proc/%d/root%s/runs.json", machine->leader.pid, places[i]);
        _cleanup_json_ json_t *runs = json_load_file(path, 0, NULL);
        const json_t *run = json_array_get(runs, json_array_size(runs) == 0 ? 0 : json_array_size(runs) - 1);
        const json_t *steps = json_object_get(run, "steps");
        const json_t *step = json_array_get(steps, json_array_size(steps) == 0 ? 0 : json_array_size(steps) - 1);
        if (run != NULL && json_object_get(run, "status") == NULL && json_object_get(step, "result") == NULL) {
            return xstrdup(json_text(step, "name"));
        }
    }
    return NULL;
}

/* What runs on the machine called NAME (NULL: the whole cluster), or else ran last. A beginning whose event has ended,
 * or whose program is gone, is not running. Borrowed. */
static const json_t *newest_event(const json_t *entries, const char *name, bool *running)
{
    const json_t *last = NULL;
    const json_t *open = NULL;
    size_t i;
    json_t *entry;
    json_array_foreach (entries, i, entry) {
        bool of = name == NULL ? json_object_get(entry, "machine") == NULL : is(entry, "machine", name);
        bool begins = of && is(entry, "kind", "begin");
        bool ends = of && is(entry, "kind", "event");
        last = begins || ends ? entry : last;
        open = begins && record_runs(entry) ? entry : ends && is(open, "id", json_text(entry, "id")) ? NULL : open;
    }
    *running = open != NULL;
    return open != NULL ? open : last;
}

static const json_t *newest_health(const json_t *entries, const char *name)
{
    const json_t *last = NULL;
    size_t i;
    json_t *entry;
    json_array_foreach (entries, i, entry) {
        last = is(entry, "kind", "health") && is(entry, "machine", name) ? entry : last;
    }
    return last;
}

static void put_event(json_t *row, const json_t *entries, const struct machine *machine)
{
    bool running = false;
    const json_t *event = newest_event(entries, machine == NULL ? NULL : machine->name, &running);
    if (event == NULL) {
        return;
    }
    json_object_set(row, "event", json_object_get(event, "event"));
    json_object_set_new(row, "running", json_boolean(running));
    json_object_set(row, "begin_ns", json_object_get(event, "begin_ns"));
    if (running && machine != NULL) {
        _cleanup_free_ char *step = current_step(machine);
        json_object_set_new(row, "step", step == NULL ? json_null() : json_string(step));
    } else if (!running) {
        static const char *const kept[] = {"status", "end_ns", "text", "error"};
        for (size_t i = 0; i < ELEMENTS(kept); i++) {
            json_object_set(row, kept[i], json_object_get(event, kept[i]));
        }
        json_object_set_new(row, "killed", json_boolean(is(event, "kind", "begin")));
    }
}

static json_t *machine_row(const struct machine *m, const json_t *entries)
{
    const char *state = m->adding                   ? "adding"
                        : m->deleting               ? "deleting"
                        : process_alive(&m->leader) ? "running"
                        : process_alive(&m->nspawn) ? "booting"
                                                    : "off";
    json_t *row = json_pack("{ss ss ss ss? ss ss}", "machine", m->name, "role", m->role, "ip", m->ip, "instance_id",
                            m->instance_id, "node_id", m->node_id, "state", state);
    const json_t *health = newest_health(entries, m->name);
    put_event(row, entries, m);
    json_object_set_new(row, "health", health == NULL ? json_null() : json_string(json_text(health, "health")));
    json_object_set(row, "health_since_ns", json_object_get(health, "at_ns"));
    return row;
}

/* Faults that have begun and not ended. */
static json_t *faults_of(const json_t *entries)
{
    json_t *faults = json_array();
    size_t i;
    json_t *entry;
    json_array_foreach (entries, i, entry) {
        if (!is(entry, "kind", "fault")) {
            continue;
        }
        if (is(entry, "state", "begin")) {
            json_array_append(faults, entry);
            continue;
        }
        for (size_t n = json_array_size(faults); n > 0; n--) {
            if (is(json_array_get(faults, n - 1), "id", json_text(entry, "id"))) {
                json_array_remove(faults, n - 1);
            }
        }
    }
    return faults;
}

static json_t *gather(const struct lab *lab)
{
    _cleanup_json_ json_t *entries = record_read(lab);
    json_t *machines = json_array();
    json_t *cluster = json_object();
    put_event(cluster, entries, NULL);
    for (size_t i = 0; i < lab->n_machines; i++) {
        json_array_append_new(machines, machine_row(lab->machines[i], entries));
    }
    return json_pack("{ss ss sb sI so so so}", "lab", lab->name, "cluster_id", lab->cluster_id, "created", lab->created,
                     "at_ns", (json_int_t)record_now(), "cluster", cluster, "machines", machines, "faults",
                     faults_of(entries));
}

/* "3 s", "4 min 10 s", "2 h 5 min"; the caller frees. */
static char *length_text(int64_t ns)
{
    int64_t s = ns < 0 ? 0 : ns / NS_PER_S;
    return s < 60     ? xasprintf("%" PRId64 " s", s)
           : s < 3600 ? xasprintf("%" PRId64 " min %" PRId64 " s", s / 60, s % 60)
                      : xasprintf("%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
}

/* "init, 12 s" while it runs, "init: done", "init: status 24", "init: killed" after. The caller frees. */
static char *event_text(const json_t *row, int64_t now)
{
    const char *event = json_text(row, "event");
    if (event == NULL) {
        return NULL;
    }
    if (json_is_true(json_object_get(row, "running"))) {
        _cleanup_free_ char *length = length_text(now - number(row, "begin_ns"));
        return xasprintf("%s, %s", event, length);
    }
    if (json_is_true(json_object_get(row, "killed"))) {
        return xasprintf("%s: killed", event);
    }
    return number(row, "status") == 0 ? xasprintf("%s: done", event)
           : number(row, "status") == STATUS_USAGE && json_text(row, "machine") == NULL
               ? xasprintf("%s: refused", event)
               : xasprintf("%s: status %" PRId64, event, number(row, "status"));
}

/* "until it is ended", "for another 12 s", "overdue: `lab fault` ends it"; the caller frees. */
static char *fault_left(const json_t *fault, int64_t now)
{
    int64_t until = number(fault, "until_ns");
    if (until == 0 || until + NS_PER_S < now) {
        return xstrdup(until == 0 ? "until it is ended" : "overdue: `lab fault` ends it");
    }
    _cleanup_free_ char *left = length_text(until - now);
    return xasprintf("for another %s", left);
}

static void print_faults(const json_t *faults, int64_t now, FILE *to)
{
    size_t i;
    json_t *fault;
    json_array_foreach (faults, i, fault) {
        const char *machine = json_text(fault, "machine");
        _cleanup_free_ char *left = fault_left(fault, now);
        (void)fprintf(to, "fault %s: %s%s%s, %s\n", json_text_or(fault, "id", "?"), json_text_or(fault, "fault", "?"),
                      machine == NULL ? "" : " on ", machine == NULL ? "" : machine, left);
    }
}

static void print_status(const json_t *all, FILE *to)
{
    static const char *const heads[] = {"MACHINE", "ROLE", "ADDRESS", "STATE", "EVENT", "STEP", "HEALTH", "SINCE"};
    int64_t now = number(all, "at_ns");
    _cleanup_table_ struct table table = {0};
    _cleanup_free_ char *event = event_text(json_object_get(all, "cluster"), now);
    (void)fprintf(to, "lab %s, cluster %s, %s%s%s\n", json_text_or(all, "lab", ""), json_text_or(all, "cluster_id", ""),
                  json_is_true(json_object_get(all, "created")) ? "created" : "not created", event == NULL ? "" : "; ",
                  event == NULL ? "" : event);
    table_row(&table, ELEMENTS(heads), heads);
    size_t i;
    json_t *row;
    json_array_foreach (json_object_get(all, "machines"), i, row) {
        _cleanup_free_ char *of_machine = event_text(row, now);
        _cleanup_free_ char *since =
            number(row, "health_since_ns") == 0 ? NULL : length_text(now - number(row, "health_since_ns"));
        const char *cells[] = {json_text(row, "machine"),
                               json_text(row, "role"),
                               json_text(row, "ip"),
                               json_text(row, "state"),
                               of_machine,
                               json_text(row, "step"),
                               json_text(row, "health"),
                               since};
        table_row(&table, ELEMENTS(cells), cells);
    }
    table_print(&table, to);
    print_faults(json_object_get(all, "faults"), now, to);
}

static void print_json(const json_t *all)
{
    _cleanup_free_ char *text = json_dumps(all, JSON_INDENT(2));
    printf("%s\n", text);
}

/* The whole screen at once, until Ctrl-C; off a terminal one table after the other. */
static int watch(const struct lab *lab, bool json, struct error **err)
{
    while (!interrupted()) {
        _cleanup_(lab_freep) struct lab *now = NULL;
        if (lab_open(&now, lab->name, err) != 0) {
            return -1;
        }
        if (!lab_exists(now)) {
            printf("lab %s is down\n", lab->name);
            return 0;
        }
        _cleanup_json_ json_t *all = gather(now);
        if (json) {
            _cleanup_free_ char *line = json_dumps(all, JSON_COMPACT);
            printf("%s\n", line);
        } else {
            char *text = NULL;
            size_t len = 0;
            FILE *screen = open_memstream(&text, &len);
            print_status(all, screen);
            (void)fclose(screen);
            printf("%s%s", isatty(STDOUT_FILENO) == 1 ? "\033[H\033[J" : "", text);
            free(text);
        }
        (void)fflush(stdout);
        (void)interrupt_sleep(1000, deadline_never(), NULL);
    }
    return 0;
}

int verb_status(struct lab *lab, char **argv, struct error **err)
{
    bool json = false;
    bool follow = false;
    for (; *argv != NULL; argv++) {
        if (strcmp(*argv, "--json") == 0) {
            json = true;
        } else if (strcmp(*argv, "--watch") == 0 || strcmp(*argv, "-w") == 0) {
            follow = true;
        } else {
            return take_end(argv, err);
        }
    }
    if (follow) {
        return watch(lab, json, err);
    }
    _cleanup_json_ json_t *all = gather(lab);
    if (json) {
        print_json(all);
    } else {
        print_status(all, stdout);
    }
    return 0;
}
