#include "tests/lab/lab/report/bars.h"

#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/lab/report/report.h"

enum { LANES = 8 };

void bars_put(json_t *object, const char *key, char *text)
{
    json_object_set_new(object, key, json_string(text));
    free(text);
}

/* Where AT is between a section's beginning and end, in per cent. */
double bars_share(const struct section *section, int64_t at)
{
    int64_t whole = section->end - section->begin;
    double part = whole <= 0 ? 0 : 100.0 * (double)(at - section->begin) / (double)whole;
    return part < 0 ? 0 : part > 100 ? 100 : part;
}

static void put_place(json_t *object, const struct section *section, int64_t begin, int64_t end)
{
    double left = bars_share(section, begin);
    bars_put(object, "left", xasprintf("%.3f", left));
    bars_put(object, "width", xasprintf("%.3f", bars_share(section, end) - left));
}

const struct kind bars_kinds[] = {
    {"boot", "k0", "boot, power"},
    {"power-off", "k0", NULL},
    {"power-cut", "k0", NULL},
    {"init", "k1", "init"},
    {"start", "k2", "start"},
    {"restart", "k2", NULL},
    {"custom_metadata", "k3", "metadata, reload"},
    {"reload", "k3", NULL},
    {"stop", "k4", "stop, destroy, scaling"},
    {"destroy", "k4", NULL},
    {"scale_in", "k4", NULL},
    {"scale_out", "k4", NULL},
    {"scale_in.pre_check", "k4", NULL},
    {"scale_out.pre_check", "k4", NULL},
    {NULL, "k5", "other events"},
};

const struct kind *bars_kind(const char *event)
{
    const struct kind *kind = bars_kinds;
    while (kind->event != NULL && strcmp(kind->event, event) != 0) {
        kind++;
    }
    return kind;
}

char *span_result(const struct span *span)
{
    if (span->unfinished) {
        return xstrdup("not finished: running or killed");
    }
    if (span->status == 0) {
        return xstrdup("ok");
    }
    const char *text = json_text(json_object_get(span->entry, "text"), "en");
    return xasprintf("status %d%s%s", span->status, text == NULL ? "" : ": ", text == NULL ? "" : text);
}

bool span_failed(const struct span *span)
{
    return span->status != 0 || span->unfinished;
}

/* "from 12.3 s to 14.5 s, takes 2.2 s" */
static char *times(const struct section *section, int64_t begin, int64_t end)
{
    _cleanup_free_ char *from = report_length(begin - section->begin);
    _cleanup_free_ char *to = report_length(end - section->begin);
    _cleanup_free_ char *takes = report_length(end - begin);
    return xasprintf("from %s to %s, takes %s", from, to, takes);
}

static json_t *event_bar(const struct section *section, const struct span *span)
{
    json_t *bar = json_object();
    _cleanup_free_ char *when = times(section, span->begin, span->end);
    _cleanup_free_ char *result = span_result(span);
    const char *error = json_text(span->entry, "error");
    put_place(bar, section, span->begin, span->end);
    json_object_set_new(bar, "label", json_string(span->name));
    bars_put(bar, "class",
             xasprintf("%s%s%s", bars_kind(span->name)->class, span_failed(span) ? " bad" : "",
                       span->critical ? " critical" : ""));
    bars_put(bar, "tip",
             xasprintf("%s, %s: %s%s\n%s%s%s", span->machine, span->name, result,
                       span->critical ? ", on the critical path" : "", when, error == NULL ? "" : "\n",
                       error == NULL ? "" : error));
    return bar;
}

int64_t bars_time(const json_t *entry, const char *key)
{
    return json_integer_value(json_object_get(entry, key));
}

static bool done_already(const char *result)
{
    return strcmp(result, "ok") != 0 && strcmp(result, "applied") != 0 && strcmp(result, "done") != 0;
}

static void add_steps(const struct section *section, const struct span *span, json_t *steps)
{
    size_t i;
    const json_t *step;
    json_array_foreach (json_object_get(span->entry, "steps"), i, step) {
        int64_t begin = bars_time(step, "begin_ns");
        int64_t end = bars_time(step, "end_ns");
        const char *result = json_text_or(step, "result", "");
        const char *name = json_text_or(step, "name", "");
        if (end - begin < NS_PER_MS) {
            continue; /* nothing to see; the list of steps of the run is in `status` */
        }
        json_t *bar = json_object();
        _cleanup_free_ char *when = times(section, begin, end);
        bool failed = strcmp(result, "failed") == 0 || strcmp(result, "killed") == 0;
        put_place(bar, section, begin, end);
        bars_put(bar, "class",
                 xasprintf("%s%s%s", bars_kind(span->name)->class, failed ? " bad" : "",
                           span->critical && !failed ? " critical" : ""));
        bars_put(bar, "tip",
                 xasprintf("%s, %s: step \"%s\"%s%s\n%s", span->machine, span->name, name,
                           done_already(result) ? ": " : "", done_already(result) ? result : "", when));
        json_array_append_new(steps, bar);
    }
}

/* Events of MACHINE that overlap go into lanes below each other. */
static json_t *lanes_of(const struct timeline *timeline, const struct section *section, const char *machine)
{
    json_t *lanes = json_array();
    int64_t ends[LANES] = {0};
    for (size_t i = 0; i < timeline->n_spans; i++) {
        const struct span *span = &timeline->spans[i];
        if (!section_has(section, span) || strcmp(span->machine, machine) != 0) {
            continue;
        }
        size_t lane = 0;
        while (lane + 1 < LANES && ends[lane] > span->begin) {
            lane++;
        }
        ends[lane] = span->end;
        if (lane == json_array_size(lanes)) {
            json_array_append_new(lanes, json_pack("{s[] s[]}", "events", "steps"));
        }
        json_t *into = json_array_get(lanes, lane);
        json_array_append_new(json_object_get(into, "events"), event_bar(section, span));
        add_steps(section, span, json_object_get(into, "steps"));
    }
    return lanes;
}

static json_t *marks_of(const struct timeline *timeline, const struct section *section, const char *machine)
{
    json_t *marks = json_array();
    size_t i;
    const json_t *entry;
    json_array_foreach (timeline->entries, i, entry) {
        int64_t at = bars_time(entry, "at_ns");
        const char *health = json_text(entry, "health");
        const char *action = json_text(entry, "action");
        const char *name = json_text(entry, "machine");
        if ((health == NULL && action == NULL) || name == NULL || strcmp(name, machine) != 0 || at < section->begin ||
            at > section->end) {
            continue;
        }
        json_t *mark = json_object();
        _cleanup_free_ char *when = report_length(at - section->begin);
        bars_put(mark, "left", xasprintf("%.3f", bars_share(section, at)));
        json_object_set_new(mark, "class", json_string(health != NULL && strcmp(health, "healthy") != 0 ? "bad" : ""));
        bars_put(mark, "tip",
                 xasprintf("%s: %s\nat %s\n%s", machine, health != NULL ? health : action, when,
                           json_text_or(entry, "error", "")));
        json_array_append_new(marks, mark);
    }
    return marks;
}

/* When the fault that BEGIN begins was lifted. */
static int64_t fault_end(const struct timeline *timeline, const json_t *begin)
{
    const char *id = json_text_or(begin, "id", "");
    int64_t until = bars_time(begin, "until_ns");
    size_t i;
    const json_t *entry;
    json_array_foreach (timeline->entries, i, entry) {
        if (strcmp(json_text_or(entry, "kind", ""), "fault") == 0 && strcmp(json_text_or(entry, "id", ""), id) == 0 &&
            strcmp(json_text_or(entry, "state", ""), "end") == 0) {
            return bars_time(entry, "at_ns");
        }
    }
    return until > 0 ? until : timeline->end;
}

/* Faults of MACHINE, and of servers that all machines use. */
static json_t *faults_of(const struct timeline *timeline, const struct section *section, const char *machine)
{
    json_t *faults = json_array();
    size_t i;
    const json_t *entry;
    json_array_foreach (timeline->entries, i, entry) {
        const char *name = json_text(entry, "machine");
        int64_t begin = bars_time(entry, "at_ns");
        if (strcmp(json_text_or(entry, "kind", ""), "fault") != 0 ||
            strcmp(json_text_or(entry, "state", ""), "begin") != 0 || (name != NULL && strcmp(name, machine) != 0)) {
            continue;
        }
        int64_t end = fault_end(timeline, entry);
        if (end < section->begin || begin > section->end) {
            continue;
        }
        json_t *fault = json_object();
        _cleanup_free_ char *takes = report_length(end - begin);
        put_place(fault, section, begin, end);
        bars_put(fault, "tip",
                 xasprintf("%s: fault %s, for %s\n%s", name != NULL ? name : "servers",
                           json_text_or(entry, "fault", ""), takes, json_text_or(entry, "detail", "")));
        json_array_append_new(faults, fault);
    }
    return faults;
}

static json_t *machine_context(const struct timeline *timeline, const struct section *section, const char *machine)
{
    json_t *marks = marks_of(timeline, section, machine);
    return json_pack("{ss so so sb so}", "name", machine, "lanes", lanes_of(timeline, section, machine), "faults",
                     faults_of(timeline, section, machine), "marked", json_array_size(marks) > 0, "marks", marks);
}

static int by_role(const void *a, const void *b)
{
    static const char *const roles[] = {"master", "node", "ssd_node", "log", "client"};
    const char *names[] = {*(char *const *)a, *(char *const *)b};
    size_t place[] = {ELEMENTS(roles), ELEMENTS(roles)};
    for (size_t n = 0; n < 2; n++) {
        for (size_t i = 0; i < ELEMENTS(roles); i++) {
            size_t len = strlen(roles[i]);
            place[n] = strncmp(names[n], roles[i], len) == 0 && names[n][len] == '-' ? i : place[n];
        }
    }
    return place[0] != place[1] ? (place[0] < place[1] ? -1 : 1) : strverscmp(names[0], names[1]);
}

json_t *bars_machines(const struct timeline *timeline, const struct section *section)
{
    json_t *machines = json_array();
    _cleanup_strv_ char **names = xcalloc(1, sizeof *names);
    for (size_t i = 0; i < timeline->n_spans; i++) {
        const struct span *span = &timeline->spans[i];
        if (section_has(section, span) && !strv_contains(names, span->machine)) {
            strv_push(&names, span->machine);
        }
    }
    qsort(names, strv_length(names), sizeof *names, by_role);
    for (char **name = names; *name != NULL; name++) {
        json_array_append_new(machines, machine_context(timeline, section, *name));
    }
    return machines;
}
