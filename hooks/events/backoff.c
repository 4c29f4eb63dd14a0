#include "hooks/events/backoff.h"

#include "lib/core/util.h"

enum { FIRST = 60, FACTOR = 4, LONGEST = 3600, QUIET = 600, MOST_TRIES = 1000 };

static int64_t delay_after(int64_t tries)
{
    int64_t delay = FIRST;
    for (int64_t i = 1; i < tries && delay < LONGEST; i++) {
        delay *= FACTOR;
    }
    return delay < LONGEST ? delay : LONGEST;
}

int64_t backoff_tries(const json_t *state, const char *name, int64_t now)
{
    const json_t *entry = json_object_get(state, name);
    int64_t tries = json_integer_value(json_object_get(entry, "tries"));
    int64_t since = time_between(json_integer_value(json_object_get(entry, "last")), now);
    int64_t quiet = 2 * delay_after(tries) > QUIET ? 2 * delay_after(tries) : QUIET;
    /* A clock that was set back must not keep us waiting. */
    return tries <= 0 || since < 0 || since >= quiet ? 0 : tries < MOST_TRIES ? tries : MOST_TRIES;
}

int64_t backoff_wait(const json_t *state, const char *name, int64_t now)
{
    int64_t tries = backoff_tries(state, name, now);
    int64_t since = time_between(json_integer_value(json_object_get(json_object_get(state, name), "last")), now);
    int64_t delay = delay_after(tries);
    return tries == 0 || since >= delay ? 0 : delay - since;
}

void backoff_note(json_t *state, const char *name, int64_t now)
{
    int64_t tries = backoff_tries(state, name, now) + 1;
    json_object_set_new(state, name, json_pack("{sI sI}", "tries", (json_int_t)tries, "last", (json_int_t)now));
}
