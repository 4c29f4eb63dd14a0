#include "hooks/engine/history.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hooks/engine/run.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/text/utf8.h"

enum { RUNS_KEPT = 30, LONGEST_ERROR = 8192 };

struct history {
    char *path;
    json_t *runs;  /* the whole file */
    json_t *run;   /* borrowed: its last member */
    json_t *steps; /* borrowed */
    json_t *step;  /* borrowed: the current one */
    int64_t started;
    bool failed; /* to write; warned once */
};

static json_t *load(const char *path)
{
    _cleanup_json_ json_t *runs = NULL;
    (void)file_read_json(path, &runs, NULL);
    return json_is_array(runs) ? STEAL(runs) : json_array();
}

static void store(struct history *history)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *text = json_dumps(history->runs, JSON_COMPACT);
    if (file_put_private(history->path, text, &err) < 0 && !history->failed) {
        log_warning("cannot record this run: %s", err->message);
        history->failed = true;
    }
}

json_t *history_load(const struct run *run)
{
    _cleanup_free_ char *path = run_state_path(run, "runs.json");
    return load(path);
}

struct history *history_begin(const struct run *run)
{
    struct history *history = xcalloc(1, sizeof *history);
    history->path = run_state_path(run, "runs.json");
    history->runs = load(history->path);
    while (json_array_size(history->runs) >= RUNS_KEPT) {
        json_array_remove(history->runs, 0);
    }
    history->started = clock_ms();
    history->steps = json_array();
    history->run = json_pack("{ss sb sI si so}", "event", run->event, "check", run->check_only, "started",
                             (json_int_t)time(NULL), "pid", (int)getpid(), "steps", history->steps);
    json_array_append_new(history->runs, history->run);
    store(history);
    return history;
}

void history_step_begin(struct history *history, const char *step)
{
    history->step = json_pack("{ss sI}", "name", step, "started", (json_int_t)time(NULL));
    json_array_append_new(history->steps, history->step);
    store(history);
}

void history_step_end(struct history *history, const char *result, int64_t ms)
{
    json_object_set_new(history->step, "result", json_string(result));
    json_object_set_new(history->step, "ms", json_integer(ms));
}

/* Not getrusage's, which begins with what ran in this process before exec. 0 when the kernel does not report it. */
static long peak_kib(void)
{
    _cleanup_free_ char *text = NULL;
    long peak = 0;
    if (file_read("/proc/self/status", 0, &text, NULL, NULL) == 0) {
        const char *line = strstr(text, "VmHWM:");
        peak = line == NULL ? 0 : strtol(line + strlen("VmHWM:"), NULL, 10);
    }
    return peak;
}

static bool found_nothing_to_do(const json_t *run)
{
    size_t i = 0;
    json_t *step = NULL;
    bool nothing =
        json_integer_value(json_object_get(run, "status")) == STATUS_OK && json_object_get(run, "status") != NULL;
    json_array_foreach (json_object_get(run, "steps"), i, step) {
        const char *result = json_text(step, "result");
        nothing = nothing && result != NULL && strcmp(result, "done") == 0;
    }
    return nothing;
}

/* What a timer runs every few minutes would leave no room for anything else: of its runs in a row that found nothing to
 * do the last one stays. */
static void forget_idle_run(json_t *runs)
{
    size_t n = json_array_size(runs);
    const json_t *last = json_array_get(runs, n - 1);
    const json_t *before = n > 1 ? json_array_get(runs, n - 2) : NULL;
    const char *event = json_text(last, "event");
    const char *event_before = json_text(before, "event");
    if (event_before != NULL && strcmp(event, "reconcile") == 0 && strcmp(event_before, event) == 0 &&
        found_nothing_to_do(last) && found_nothing_to_do(before)) {
        json_array_remove(runs, n - 2);
    }
}

void history_end(struct history *history, const struct error *err)
{
    json_object_set_new(history->run, "ms", json_integer(clock_ms() - history->started));
    json_object_set_new(history->run, "status", json_integer(err == NULL ? STATUS_OK : (json_int_t)err->status));
    json_object_set_new(history->run, "peak_kib", json_integer(peak_kib()));
    if (err != NULL) {
        _cleanup_free_ char *text = utf8_text(err->message, LONGEST_ERROR);
        json_object_set_new(history->run, "error", json_string(text));
    }
    forget_idle_run(history->runs);
    store(history);
    json_decref(history->runs);
    free(history->path);
    free(history);
}
