/* What a record holds, in order: spans (events with a beginning and an end), and the sections they fall into. */
#ifndef LAB_REPORT_TIMELINE_H
#define LAB_REPORT_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

struct span {
    const json_t *entry;
    const char *machine; /* NULL: the whole cluster */
    const char *name;
    int64_t begin, end;
    int status;
    bool unfinished; /* killed or still running: the end is that of the record */
    bool critical;
};

/* One of AppCenter's operations, or events that were run one by one. */
struct section {
    const struct span *operation; /* NULL: one by one */
    int64_t begin, end;
};

struct timeline {
    const json_t *entries;
    struct span *spans; /* by their beginning */
    size_t n_spans;
    struct section *sections;
    size_t n_sections;
    int64_t end;
};

void timeline_make(const json_t *entries, struct timeline *timeline);
void timeline_free(struct timeline *timeline);

/* True for a machine's span that belongs to SECTION. */
bool section_has(const struct section *section, const struct span *span);

/* Marks what the end of SECTION's operation waited for, going back from it: the span that ended last before, and so on.
 * The operation's phases begin when the last machine of the phase before has ended, so this is the critical path. PATH
 * takes at most MOST spans, in their order; returns their number. */
size_t critical_path(struct timeline *timeline, const struct section *section, const struct span **path, size_t most);

#endif
