#include "tests/lab/lab/report/timeline.h"

#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"

/* Events that were run one by one are drawn together when no longer pause is between them. */
#define LONGEST_PAUSE (60 * NS_PER_S)

static int64_t number(const json_t *entry, const char *key)
{
    return json_integer_value(json_object_get(entry, key));
}

static bool is_kind(const json_t *entry, const char *kind)
{
    const char *text = json_text(entry, "kind");
    return text != NULL && strcmp(text, kind) == 0;
}

static const json_t *end_of(const json_t *entries, const char *id)
{
    size_t i;
    const json_t *entry;
    json_array_foreach (entries, i, entry) {
        const char *other = json_text(entry, "id");
        if (is_kind(entry, "event") && other != NULL && id != NULL && strcmp(other, id) == 0) {
            return entry;
        }
    }
    return NULL;
}

static int64_t last_time(const json_t *entries)
{
    int64_t last = 0;
    size_t i;
    const json_t *entry;
    json_array_foreach (entries, i, entry) {
        static const char *const keys[] = {"begin_ns", "end_ns", "at_ns"};
        for (size_t k = 0; k < ELEMENTS(keys); k++) {
            int64_t at = number(entry, keys[k]);
            last = at > last ? at : last;
        }
    }
    return last;
}

static int by_begin(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    /* what is around another comes first */
    return x->end == y->end ? 0 : (x->end > y->end ? -1 : 1);
}

static void collect(struct timeline *timeline)
{
    size_t i;
    const json_t *entry;
    timeline->spans = xcalloc(json_array_size(timeline->entries) + 1, sizeof *timeline->spans);
    json_array_foreach (timeline->entries, i, entry) {
        const char *name = json_text(entry, "event");
        bool ended = is_kind(entry, "event");
        if (name == NULL ||
            (!ended && (!is_kind(entry, "begin") || end_of(timeline->entries, json_text(entry, "id"))))) {
            continue;
        }
        int64_t begin = number(entry, "begin_ns");
        int64_t end = ended ? number(entry, "end_ns") : timeline->end;
        timeline->spans[timeline->n_spans++] = (struct span){
            .entry = entry,
            .machine = json_text(entry, "machine"),
            .name = name,
            .begin = begin,
            .end = end < begin ? begin : end,
            .status = (int)number(entry, "status"),
            .unfinished = !ended,
        };
    }
    qsort(timeline->spans, timeline->n_spans, sizeof *timeline->spans, by_begin);
}

static void add_section(struct timeline *timeline, const struct span *operation, int64_t begin, int64_t end)
{
    timeline->sections = xrealloc(timeline->sections, (timeline->n_sections + 1) * sizeof *timeline->sections);
    timeline->sections[timeline->n_sections++] = (struct section){operation, begin, end};
}

static void divide(struct timeline *timeline)
{
    for (size_t i = 0; i < timeline->n_spans; i++) {
        const struct span *span = &timeline->spans[i];
        struct section *last = timeline->n_sections == 0 ? NULL : &timeline->sections[timeline->n_sections - 1];
        bool inside = last != NULL && last->operation != NULL && span->begin < last->end;
        if (inside) {
            continue;
        }
        if (span->machine == NULL) {
            add_section(timeline, span, span->begin, span->end);
        } else if (last == NULL || last->operation != NULL || span->begin > last->end + LONGEST_PAUSE) {
            add_section(timeline, NULL, span->begin, span->end);
        } else if (span->end > last->end) {
            last->end = span->end;
        }
    }
}

void timeline_make(const json_t *entries, struct timeline *timeline)
{
    *timeline = (struct timeline){.entries = entries, .end = last_time(entries)};
    collect(timeline);
    divide(timeline);
}

void timeline_free(struct timeline *timeline)
{
    free(timeline->spans);
    free(timeline->sections);
    *timeline = (struct timeline){0};
}

bool section_has(const struct section *section, const struct span *span)
{
    /* what begins where an operation ends belongs to the next one */
    bool before_end = section->operation == NULL ? span->begin <= section->end : span->begin < section->end;
    return span->machine != NULL && span->begin >= section->begin && (before_end || span->begin == section->begin);
}

/* The machine's span of SECTION that ended last before AT. */
static struct span *last_before(struct timeline *timeline, const struct section *section, int64_t at)
{
    struct span *found = NULL;
    for (size_t i = 0; i < timeline->n_spans; i++) {
        struct span *span = &timeline->spans[i];
        if (section_has(section, span) && !span->critical && span->end <= at &&
            (found == NULL || span->end > found->end || (span->end == found->end && span->begin < found->begin))) {
            found = span;
        }
    }
    return found;
}

size_t critical_path(struct timeline *timeline, const struct section *section, const struct span **path, size_t most)
{
    size_t n = 0;
    int64_t at = section->end;
    if (section->operation == NULL) {
        return 0;
    }
    for (struct span *span = last_before(timeline, section, at); span != NULL && n < most;
         span = last_before(timeline, section, at)) {
        span->critical = true;
        path[n++] = span;
        at = span->begin;
    }
    for (size_t i = 0; i < n / 2; i++) {
        const struct span *other = path[i];
        path[i] = path[n - 1 - i];
        path[n - 1 - i] = other;
    }
    return n;
}
