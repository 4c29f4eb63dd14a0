#include <stdlib.h>
#include <string.h>

#include "hooks/engine/history.h"
#include "hooks/events/events.h"
#include "lib/core/json.h"
#include "lib/core/util.h"

static long long number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* "killed" also stands for a run in progress: only the lock shows which it is. */
static void print_run(const json_t *run, bool steps)
{
    const json_t *status = json_object_get(run, "status");
    _cleanup_free_ char *started = time_text(number_of(run, "started"), TIME_SECOND);
    printf("%s  %-12s%s", started, json_text_or(run, "event", ""),
           json_is_true(json_object_get(run, "check")) ? " --check" : "");
    if (status == NULL) {
        puts("  not finished: running or killed");
    } else {
        printf("  %8.1f s  status %lld  %s\n", (double)number_of(run, "ms") / 1000, number_of(run, "status"),
               json_text_or(run, "error", ""));
    }
    size_t i;
    json_t *step;
    json_array_foreach (json_object_get(run, "steps"), i, step) {
        const char *result = json_text_or(step, "result", "");
        if (steps || status == NULL) {
            printf("    %-30s %-12s %8.1f s\n", json_text_or(step, "name", ""),
                   *result != '\0' ? result : "not finished", (double)number_of(step, "ms") / 1000);
        }
    }
}

static int by_time(const void *a, const void *b)
{
    long long x = number_of(*(json_t *const *)a, "ms");
    long long y = number_of(*(json_t *const *)b, "ms");
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The steps of the last finished run of each event, the longest first. */
static void print_blame(const json_t *run)
{
    const json_t *steps = json_object_get(run, "steps");
    size_t count = json_array_size(steps);
    json_t **sorted = xcalloc(count + 1, sizeof(json_t *));
    for (size_t i = 0; i < count; i++) {
        sorted[i] = json_array_get(steps, i);
    }
    qsort(sorted, count, sizeof(json_t *), by_time);
    printf("%s: %.1f s, %.1f MiB\n", json_text_or(run, "event", ""), (double)number_of(run, "ms") / 1000,
           (double)number_of(run, "peak_kib") / 1024);
    for (size_t i = 0; i < count; i++) {
        printf("    %8.1f s  %s\n", (double)number_of(sorted[i], "ms") / 1000, json_text_or(sorted[i], "name", ""));
    }
    free(sorted);
}

static bool is_last_of_its_event(const json_t *runs, size_t index)
{
    const char *event = json_text_or(json_array_get(runs, index), "event", "");
    for (size_t i = index + 1; i < json_array_size(runs); i++) {
        if (strcmp(json_text_or(json_array_get(runs, i), "event", ""), event) == 0) {
            return false;
        }
    }
    return true;
}

int event_status(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_json_ json_t *runs = history_load(run);
    if (run->json) {
        _cleanup_free_ char *text = json_dumps(runs, JSON_INDENT(2));
        puts(text);
        return 0;
    }
    size_t count = json_array_size(runs);
    if (count == 0) {
        puts("no event has run on this host");
    }
    for (size_t i = 0; i < count; i++) {
        if (run->blame && is_last_of_its_event(runs, i)) {
            print_blame(json_array_get(runs, i));
        } else if (!run->blame) {
            print_run(json_array_get(runs, i), i + 1 == count);
        }
    }
    return 0;
}
