/* The last runs with the time of each step: <state>/runs.json, newest last, kept to a fixed number. */
#ifndef HOOKS_ENGINE_HISTORY_H
#define HOOKS_ENGINE_HISTORY_H

#include "hooks/engine/role.h"

struct history; /* the record of the current run */

/* Opens a record for this run and writes it at once, so that a kill leaves a trace. Failing to write is a warning in
 * the log, never an error: a failure to record never fails the event. Never NULL. */
struct history *history_begin(const struct run *run);
void history_step_begin(struct history *history, const char *step);
/* RESULT is "done" (nothing to do), "applied" or "failed". */
void history_step_end(struct history *history, const char *result, int64_t ms);
/* ERR is NULL when all went well. Frees the record. */
void history_end(struct history *history, const struct error *err);

/* The stored runs: an array of {event, started, ms, pid, status, error, peak_kib (of memory), steps: [{name, result,
 * ms}]}. A run without "status" is running or was killed. A new reference, empty when nothing is stored. */
json_t *history_load(const struct run *run);

#endif
