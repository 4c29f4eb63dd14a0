/* Back-off between tries to heal the same thing, kept over restarts of the machine so that nothing flaps: 1, 4, 16,
 * then 60 minutes. Twice as long without a try, and at least 10 minutes, and all is forgotten. */
#ifndef HOOKS_EVENTS_BACKOFF_H
#define HOOKS_EVENTS_BACKOFF_H

#include <stdint.h>

#include <jansson.h>

/* STATE is {NAME: {"tries": n, "last": seconds since 1970}}. Seconds until NAME may be tried again; 0: now. */
int64_t backoff_wait(const json_t *state, const char *name, int64_t now);

/* Tries so far that are not forgotten. */
int64_t backoff_tries(const json_t *state, const char *name, int64_t now);

/* Notes a try. */
void backoff_note(json_t *state, const char *name, int64_t now);

#endif
