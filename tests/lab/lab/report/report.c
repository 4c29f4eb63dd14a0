#include "tests/lab/lab/report/report.h"

#include <string.h>

#include "lib/core/json.h"
#include "lib/system/file.h"
#include "lib/text/mustache.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/report/bars.h"

enum { TICKS = 6, PATH = 200 };

char *report_length(int64_t ns)
{
    int64_t ms = (ns + NS_PER_MS / 2) / NS_PER_MS;
    if (ms < 1000) {
        return xasprintf("%d ms", (int)ms);
    }
    if (ms < 100000) {
        return xasprintf("%d.%d s", (int)(ms / 1000), (int)(ms % 1000 / 100));
    }
    int seconds = (int)(ms / 1000);
    return xasprintf("%d min %02d s", seconds / 60, seconds % 60);
}

/* Round times, at most TICKS of them; none so near to the end that its text would stand out. */
static json_t *ticks_of(const struct section *section)
{
    static const int64_t rounds[] = {1,      2,      5,      10,      20,      50,       100,     200,
                                     500,    1000,   2000,   5000,    10000,   15000,    30000,   60000,
                                     120000, 300000, 600000, 1800000, 3600000, 14400000, 86400000};
    json_t *ticks = json_array();
    int64_t whole = (section->end - section->begin) / NS_PER_MS;
    size_t i = 0;
    while (i + 1 < ELEMENTS(rounds) && whole / rounds[i] >= TICKS) {
        i++;
    }
    for (int64_t at = 0; whole > 0 && at * 100 <= whole * 93; at += rounds[i]) {
        json_t *tick = json_object();
        char *label = rounds[i] < 1000    ? xasprintf("%d ms", (int)at)
                      : rounds[i] < 60000 ? xasprintf("%d s", (int)(at / 1000))
                                          : xasprintf("%d min", (int)(at / 60000));
        bars_put(tick, "left", xasprintf("%.3f", 100.0 * (double)at / (double)whole));
        bars_put(tick, "label", label);
        json_object_set_new(tick, "first", json_boolean(at == 0));
        json_array_append_new(ticks, tick);
    }
    return ticks;
}

static void add_row(json_t *rows, const struct section *section, const char *machine, char *what, int64_t begin,
                    int64_t end)
{
    json_t *row = json_pack("{ss}", "machine", machine);
    bars_put(row, "at", xasprintf("%.1f s", (double)(begin - section->begin) / (double)NS_PER_S));
    bars_put(row, "what", what);
    bars_put(row, "takes", report_length(end - begin));
    bars_put(row, "share", xasprintf("%.2f", bars_share(section, section->begin + end - begin)));
    json_array_append_new(rows, row);
}

/* A span's steps that take their time, and else the whole of it. */
static int64_t add_path_rows(json_t *rows, const struct section *section, const struct span *span)
{
    int64_t shown = 0;
    int64_t least = (section->end - section->begin) / 100;
    size_t i;
    const json_t *step;
    json_array_foreach (json_object_get(span->entry, "steps"), i, step) {
        int64_t begin = bars_time(step, "begin_ns");
        int64_t end = bars_time(step, "end_ns");
        if (end - begin >= least) {
            add_row(rows, section, span->machine, xasprintf("%s: %s", span->name, json_text_or(step, "name", "")),
                    begin, end);
            shown += end - begin;
        }
    }
    if (shown == 0 && span->end - span->begin >= least) {
        add_row(rows, section, span->machine, xstrdup(span->name), span->begin, span->end);
        shown = span->end - span->begin;
    }
    return shown;
}

/* NULL without one. */
static json_t *path_of(struct timeline *timeline, const struct section *section)
{
    const struct span *path[PATH];
    size_t n = critical_path(timeline, section, path, PATH);
    json_t *rows = json_array();
    int64_t shown = 0;
    for (size_t i = 0; i < n; i++) {
        shown += add_path_rows(rows, section, path[i]);
    }
    if (json_array_size(rows) == 0) {
        json_decref(rows);
        return NULL;
    }
    json_t *result = json_pack("{so}", "rows", rows);
    _cleanup_free_ char *rest = report_length(section->end - section->begin - shown);
    bars_put(result, "rest",
             xasprintf("The rest, %s, is steps below a hundredth of the whole, and pauses between events.", rest));
    return result;
}

static json_t *section_context(struct timeline *timeline, const struct section *section)
{
    const struct span *operation = section->operation;
    json_t *path = path_of(timeline, section);
    _cleanup_free_ char *takes = report_length(section->end - section->begin);
    _cleanup_free_ char *when = record_time(section->begin);
    _cleanup_free_ char *result = operation == NULL ? xstrdup("") : span_result(operation);
    json_t *context = json_pack("{ss sb so so}", "title", operation == NULL ? "Single events" : operation->name,
                                "failed", operation != NULL && span_failed(operation), "ticks", ticks_of(section),
                                "machines", bars_machines(timeline, section));
    bars_put(context, "result",
             xasprintf("%s%s%s, %.10s %.8s UTC", result, *result == '\0' ? "" : ", ", takes, when,
                       when + strlen("2026-11-25T")));
    json_object_set_new(context, "path", path != NULL ? path : json_false());
    return context;
}

static json_t *table_of(const struct timeline *timeline)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < timeline->n_spans; i++) {
        const struct span *span = &timeline->spans[i];
        _cleanup_free_ char *when = record_time(span->begin);
        json_t *row = json_pack("{ss ss sb}", "machine", span->machine == NULL ? "cluster" : span->machine, "event",
                                span->name, "failed", span_failed(span));
        bars_put(row, "began", xasprintf("%.12s", when + strlen("2026-11-25T")));
        bars_put(row, "takes", report_length(span->end - span->begin));
        bars_put(row, "result", span_result(span));
        json_array_append_new(rows, row);
    }
    return rows;
}

static void add_figure(json_t *figures, char *value, const char *label)
{
    json_t *figure = json_pack("{ss}", "label", label);
    bars_put(figure, "value", value);
    json_array_append_new(figures, figure);
}

static json_t *figures_of(const struct timeline *timeline)
{
    json_t *figures = json_array();
    int failed = 0;
    int events = 0;
    _cleanup_strv_ char **machines = xcalloc(1, sizeof *machines);
    for (size_t i = 0; i < timeline->n_spans; i++) {
        const struct span *span = &timeline->spans[i];
        events += span->machine != NULL;
        failed += span->machine != NULL && span_failed(span);
        if (span->machine != NULL && !strv_contains(machines, span->machine)) {
            strv_push(&machines, span->machine);
        }
        if (span->machine == NULL && strcmp(span->name, "create") == 0) {
            add_figure(figures, report_length(span->end - span->begin), "create");
        }
    }
    add_figure(figures, xasprintf("%zu", strv_length(machines)), "machines");
    add_figure(figures, xasprintf("%d", events), "events on machines");
    add_figure(figures, xasprintf("%d", failed), "of them failed");
    return figures;
}

static bool has_kind(const struct timeline *timeline, const char *class)
{
    for (size_t i = 0; i < timeline->n_spans; i++) {
        if (timeline->spans[i].machine != NULL && strcmp(bars_kind(timeline->spans[i].name)->class, class) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_entry(const struct timeline *timeline, const char *kind)
{
    size_t i;
    const json_t *entry;
    json_array_foreach (timeline->entries, i, entry) {
        if (strcmp(json_text_or(entry, "kind", ""), kind) == 0) {
            return true;
        }
    }
    return false;
}

/* What the page shows, and nothing else. */
static json_t *legend_of(const struct timeline *timeline)
{
    json_t *legend = json_array();
    for (const struct kind *kind = bars_kinds;; kind++) {
        if (kind->label != NULL && has_kind(timeline, kind->class)) {
            json_array_append_new(legend, json_pack("{ss ss}", "class", kind->class, "label", kind->label));
        }
        if (kind->event == NULL) {
            break;
        }
    }
    json_array_append_new(legend, json_pack("{ss ss}", "class", "critical", "label", "critical path"));
    json_array_append_new(legend, json_pack("{ss ss}", "class", "bad", "label", "failed"));
    if (has_entry(timeline, "health")) {
        json_array_append_new(legend, json_pack("{ss ss}", "class", "mark-sample", "label", "health changes"));
    }
    if (has_entry(timeline, "fault")) {
        json_array_append_new(legend, json_pack("{ss ss}", "class", "fault-sample", "label", "fault on demand"));
    }
    return legend;
}

int report_render(const json_t *entries, const char *title, const char *template, struct buffer *html,
                  struct error **err)
{
    static const struct mustache_options options = {.format = FORMAT_HTML, .strict = true};
    struct timeline timeline __attribute__((cleanup(timeline_free)));
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    timeline_make(entries, &timeline);
    if (timeline.n_spans == 0) {
        return error_new(err, STATUS_USAGE, "the record holds no event: `lab create` makes a cluster first");
    }
    if (file_read(template, 0, &text, &len, err) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *context =
        json_pack("{ss s[] so so so}", "title", title, "sections", "figures", figures_of(&timeline), "legend",
                  legend_of(&timeline), "events", table_of(&timeline));
    _cleanup_free_ char *from = record_time(timeline.spans[0].begin);
    bars_put(
        context, "subtitle",
        xasprintf(
            "%.10s, %.8s UTC. Events of AppCenter and their steps, a row a machine. Point at a bar, or go to it with "
            "Tab and the arrow keys, for its times.",
            from, from + strlen("2026-11-25T")));
    for (size_t i = 0; i < timeline.n_sections; i++) {
        json_array_append_new(json_object_get(context, "sections"), section_context(&timeline, &timeline.sections[i]));
    }
    return mustache_render("report.html.mustache", text, len, context, &options, html, err);
}
