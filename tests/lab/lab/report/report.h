/* The record of a lab as one HTML page that needs nothing else: a timeline for each of AppCenter's operations, a row a
 * machine, with events, their steps, health and faults, and the critical path. Of the record (record/record.h). */
#ifndef LAB_REPORT_H
#define LAB_REPORT_H

#include <jansson.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

/* ENTRIES as record_read returns them; TEMPLATE is report.html.mustache. Appends to HTML. STATUS_TEMPLATE, STATUS_FILE;
 * STATUS_USAGE when ENTRIES hold nothing. */
int report_render(const json_t *entries, const char *title, const char *template, struct buffer *html,
                  struct error **err);

/* "840 ms", "12.3 s", "2 min 05 s"; the caller frees. */
char *report_length(int64_t ns);

#endif
