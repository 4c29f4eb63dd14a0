#include "tests/lab/lab/record/steps.h"

#include <string.h>

#include "app/paths.h"
#include "lib/core/json.h"

#define NS_PER_MS 1000000
#define NS_PER_S 1000000000

/* "scale-in" of "/opt/kubernetes/bin/k8s-node scale-in --check"; history calls an event as the command does. */
static char *event_of(const char *command)
{
    _cleanup_strv_ char **words = strv_split(command);
    return strv_length(words) < 2 ? NULL : xstrdup(words[1]);
}

static bool same_event(const char *a, const char *b)
{
    for (; a != NULL && *a != '\0' && *b != '\0'; a++, b++) {
        if (*a != *b && !(*a == '-' && *b == '_') && !(*a == '_' && *b == '-')) {
            return false;
        }
    }
    return a != NULL && *a == *b;
}

static const json_t *run_of(const json_t *runs, const char *event, int64_t began)
{
    for (size_t n = json_array_size(runs); n > 0; n--) {
        const json_t *run = json_array_get(runs, n - 1);
        /* whole seconds: one that began in the same second may have begun before */
        if (json_integer_value(json_object_get(run, "started")) >= began / NS_PER_S &&
            same_event(json_text(run, "event"), event)) {
            return run;
        }
    }
    return NULL;
}

json_t *steps_of(const json_t *runs, const char *event, int64_t began, int64_t ended)
{
    const json_t *run = run_of(runs, event, began);
    const json_t *ms = json_object_get(run, "ms");
    json_t *steps = json_array();
    /* A run knows its length better than its beginning; one that was killed has none. */
    int64_t at = ms == NULL ? began : ended - json_integer_value(ms) * NS_PER_MS;
    at = at < began ? began : at;
    size_t i;
    json_t *step;
    json_array_foreach (json_object_get(run, "steps"), i, step) {
        const json_t *length = json_object_get(step, "ms");
        int64_t end = length == NULL ? ended : at + json_integer_value(length) * NS_PER_MS;
        const char *result = json_text_or(step, "result", "killed");
        json_array_append_new(steps, json_pack("{ss* ss sI sI}", "name", json_text(step, "name"), "result", result,
                                               "begin_ns", (json_int_t)at, "end_ns", (json_int_t)end));
        at = end;
    }
    if (run == NULL) {
        json_decref(steps);
        return NULL;
    }
    return steps;
}

json_t *steps_read(const struct machine *machine, const char *command, int64_t began, int64_t ended)
{
    static const char *const places[] = {STATE_ON_DATA, STATE_ON_SYSTEM};
    _cleanup_free_ char *event = event_of(command);
    json_t *steps = NULL;
    for (size_t i = 0; event != NULL && steps == NULL && i < ELEMENTS(places); i++) {
        _cleanup_free_ char *path = xasprintf("/proc/%d/root%s/runs.json", machine->leader.pid, places[i]);
        _cleanup_json_ json_t *runs = json_load_file(path, 0, NULL);
        steps = runs == NULL ? NULL : steps_of(runs, event, began, ended);
    }
    return steps;
}
