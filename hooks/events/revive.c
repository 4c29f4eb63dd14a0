#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "hooks/engine/run.h"
#include "hooks/events/backoff.h"
#include "hooks/events/events.h"
#include "hooks/events/heal.h"
#include "hooks/files/stopped.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/text/utf8.h"

enum { CHECKS_MS = 3000, AGAIN_S = 2, LONGEST_MESSAGE = 2000 };

struct revival {
    struct run *run;
    json_t *backoff;
    json_t *report;  /* of --json */
    size_t healed;   /* so far */
    size_t unhealed; /* fail, and nothing could be done */
    struct buffer unhealed_names;
};

static json_t *load_backoff(const struct run *run)
{
    _cleanup_free_ char *path = run_state_path(run, "revive.json");
    json_t *state = NULL;
    (void)file_read_json(path, &state, NULL);
    if (json_is_object(state)) {
        return state;
    }
    json_decref(state);
    return json_object();
}

/* A full disk, which is to be healed, may keep this from being written. */
static void save_backoff(const struct run *run, const json_t *state)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *path = run_state_path(run, "revive.json");
    _cleanup_free_ char *text = json_dumps(state, JSON_COMPACT);
    if (file_put_private(path, text, &err) < 0) {
        log_warning("cannot record the attempt: %s", err->message);
    }
}

static void report(struct revival *revival, const char *name, const char *result, const char *text)
{
    bool good = strcmp(result, "healed") == 0;
    _cleanup_free_ char *shown = utf8_text(text, LONGEST_MESSAGE);
    log_message(good ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING, "%s %s: %s", name, result, text);
    json_array_append_new(revival->report, json_pack("{ss ss ss}", "name", name, "result", result, "message", shown));
    if (good) {
        revival->healed++;
    } else {
        buffer_printf(&revival->unhealed_names, "%s%s", revival->unhealed++ == 0 ? "" : ", ", name);
    }
}

static bool fails_now(const struct revival *revival, const struct check *check)
{
    _cleanup_(check_results_freep) struct check_results *again = NULL;
    const struct check *const one[] = {check, NULL};
    return checks_run(revival->run, one, run_deadline(revival->run, AGAIN_S), &again, NULL) < 0 ||
           !checks_healthy(again);
}

static int heal_one(struct revival *revival, const struct heal *heal, const struct check_result *result,
                    struct error **err)
{
    struct run *run = revival->run;
    const char *name = result->check->name;
    int64_t now = (int64_t)time(NULL);
    int64_t wait = backoff_wait(revival->backoff, name, now);
    if (wait > 0) {
        _cleanup_free_ char *text = xasprintf("%s; tries so far: %" PRId64 ", again in %" PRId64 " s",
                                              result->finding.reason, backoff_tries(revival->backoff, name, now), wait);
        report(revival, name, "waits", text);
        return 0;
    }
    if (run->dry_run) {
        printf("would heal %s: %s\n", name, result->finding.reason);
        return 0;
    }
    /* Before the try: one that kills this process must count too. */
    backoff_note(revival->backoff, name, now);
    save_backoff(run, revival->backoff);
    _cleanup_error_ struct error *failure = NULL;
    const char *done = NULL;
    int r = heal->apply(run, &done, &failure);
    if (r < 0 && failure->status == STATUS_INTERRUPTED) {
        return error_move(err, &failure);
    }
    if (r == 0) {
        json_object_del(revival->backoff, name);
        save_backoff(run, revival->backoff);
        report(revival, name, "left", result->finding.reason);
    } else if (r < 0) {
        report(revival, name, "failed", failure->message);
    } else if (heal->at_once && fails_now(revival, heal->check)) {
        _cleanup_free_ char *text = xasprintf("%s, which did not help: %s", done, result->finding.reason);
        report(revival, name, "failed", text);
    } else {
        report(revival, name, "healed", done);
    }
    return 0;
}

static const struct check_result *result_of(const struct check_results *results, const struct check *check)
{
    for (size_t i = 0; i < results->n; i++) {
        if (results->of[i].check == check && results->of[i].finding.verdict == VERDICT_FAILS) {
            return &results->of[i];
        }
    }
    return NULL;
}

static const struct heal *heal_of(const struct check *check)
{
    for (const struct heal *heal = heals; heal->check != NULL; heal++) {
        if (heal->check == check) {
            return heal;
        }
    }
    return NULL;
}

static int heal_all(struct revival *revival, const struct check_results *results, struct error **err)
{
    for (const struct heal *heal = heals; heal->check != NULL; heal++) {
        const struct check_result *result = result_of(results, heal->check);
        if (result == NULL) {
            continue;
        }
        if (heal->alone && revival->healed > 0) {
            log_info("%s skipped: may recover with the others", heal->check->name);
            continue;
        }
        /* What was healed before may have healed this too. */
        if ((revival->healed == 0 || fails_now(revival, heal->check)) && heal_one(revival, heal, result, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < results->n; i++) {
        const struct check_result *result = &results->of[i];
        if (result->finding.verdict == VERDICT_FAILS && heal_of(result->check) == NULL) {
            report(revival, result->check->name, "left", result->finding.reason);
        }
    }
    return 0;
}

static int conclude(const struct revival *revival, struct error **err)
{
    if (revival->run->json) {
        (void)json_dumpf(revival->report, stdout, JSON_COMPACT);
        (void)putchar('\n');
    }
    if (revival->unhealed > 0) {
        return error_new(err, STATUS_UNHEALTHY, "not healed: %s", revival->unhealed_names.data);
    }
    if (revival->healed == 0 && !revival->run->dry_run) {
        log_info("no check fails: nothing changed");
    }
    return 0;
}

/* Whoever started the kubelet by hand wants it to run. */
static bool is_stopped(struct run *run)
{
    return stopped_noted() && (run_units(run, NULL) < 0 || unit_active(run->units, "kubelet.service", NULL) != 1);
}

int event_revive(struct run *run, struct error **err)
{
    _cleanup_(check_results_freep) struct check_results *results = NULL;
    if (is_stopped(run)) {
        log_notice("this machine was stopped: nothing changed, `start` starts it");
        (void)(run->json && puts("[]") < 0);
        return 0;
    }
    /* The kubelet would start the restored etcd with the keys of the cluster that was. */
    if (run->role->control_plane && step_check_restore_finished.done(run, NULL) != 1) {
        return step_check_restore_finished.apply(run, err);
    }
    if (checks_run(run, run->role->checks, deadline_earlier(run->deadline, deadline_in(CHECKS_MS)), &results, err) <
        0) {
        return -1;
    }
    struct revival revival = {.run = run, .backoff = load_backoff(run), .report = json_array()};
    int r = heal_all(&revival, results, err) < 0 ? -1 : conclude(&revival, err);
    json_decref(revival.backoff);
    json_decref(revival.report);
    buffer_free(&revival.unhealed_names);
    return r;
}
