/* The bars of a report, as its template's context: where each is, its colour, and what it says. */
#ifndef LAB_REPORT_BARS_H
#define LAB_REPORT_BARS_H

#include "lib/core/util.h"
#include "tests/lab/lab/report/timeline.h"

struct kind {
    const char *event; /* NULL: any other, the last */
    const char *class; /* of the style sheet */
    const char *label; /* in the legend; NULL: as the one before */
};
extern const struct kind bars_kinds[];
const struct kind *bars_kind(const char *event);

/* The rows of SECTION: [{name, lanes: [{events, steps}], faults, marked, marks}], masters first; a new reference. */
json_t *bars_machines(const struct timeline *timeline, const struct section *section);

/* Where AT is between the section's beginning and end, in per cent. */
double bars_share(const struct section *section, int64_t at);

/* "ok", "status 24: Unhealthy"; the caller frees. */
char *span_result(const struct span *span);
bool span_failed(const struct span *span);

/* ENTRY's time KEY, 0 when it has none. */
int64_t bars_time(const json_t *entry, const char *key);

/* Sets KEY to TEXT, which is freed. */
void bars_put(json_t *object, const char *key, char *text);

#endif
