#include "hooks/steps/cluster/prune_logs.h"

#include <string.h>
#include <time.h>

#include "hooks/clients/elasticsearch.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cluster/log_index.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/net/http.h"

enum { REQUEST_S = 30, SECONDS_A_DAY = 86400 };

struct expiry {
    int64_t today; /* days since 1970-01-01 UTC */
    int keep_days;
    size_t deleted, failed;
    char *reason; /* of the first failure; NULL: none */
};

/* Elasticsearch's own day, in the statistics of every release; TODAY where there is none. */
static int64_t elasticsearch_day(struct run *run, int64_t today)
{
    _cleanup_json_ json_t *stats = NULL;
    if (elasticsearch_get(run->facts, "/_cluster/stats", run_deadline(run, REQUEST_S), &stats, NULL) < 0) {
        return today;
    }
    const json_t *ms = json_object_get(stats, "timestamp");
    return json_is_integer(ms) ? json_integer_value(ms) / 1000 / SECONDS_A_DAY : today;
}

static int64_t find_today(struct run *run)
{
    int64_t ours = time(NULL) / SECONDS_A_DAY;
    int64_t theirs = elasticsearch_day(run, ours);
    if (theirs - ours > 1 || ours - theirs > 1) {
        log_warning("the clocks of this host and of Elasticsearch are %lld days apart: using the earlier one",
                    (long long)(ours > theirs ? ours - theirs : theirs - ours));
    }
    return theirs < ours ? theirs : ours;
}

/* A list of {"index", "status", "sth"}: what is there, aliases excepted. "sth" (search.throttled) is true for a frozen
 * index; releases that know no such column leave it out. */
static int list_by_cat(struct run *run, json_t **list, struct error **err)
{
    return elasticsearch_get(run->facts, "/_cat/indices?format=json&h=index,status,sth", run_deadline(run, REQUEST_S),
                             list, err);
}

/* The same from {"INDEX": {"aliases": {...}}}, for a user who may not read statistics: those that are open. */
static int list_by_alias(struct run *run, json_t **list, struct error **err)
{
    _cleanup_json_ json_t *answer = NULL;
    if (elasticsearch_get(run->facts, "/_alias?expand_wildcards=open", run_deadline(run, REQUEST_S), &answer, err) <
        0) {
        return -1;
    }
    *list = json_array();
    const char *name = NULL;
    json_t *aliases = NULL;
    json_object_foreach (answer, name, aliases) {
        json_array_append_new(*list, json_pack("{s:s}", "index", name));
    }
    return 0;
}

static int list_indices(struct run *run, json_t **list, struct error **err)
{
    _cleanup_error_ struct error *reason = NULL;
    if (list_by_cat(run, list, &reason) == 0 && json_is_array(*list)) {
        return 0;
    }
    json_decref(STEAL(*list));
    if (reason != NULL && reason->status == STATUS_INTERRUPTED) {
        return error_move(err, &reason);
    }
    log_debug("%s: reading /_alias", reason != NULL ? reason->message : "GET /_cat/indices: not a list");
    return list_by_alias(run, list, err);
}

static bool is(const json_t *index, const char *key, const char *value)
{
    const char *text = json_text(index, key);
    return text != NULL && strcmp(text, value) == 0;
}

/* The name of INDEX when it has expired, else NULL. Its last line was written at the end of its day. */
static const char *expired(const struct expiry *expiry, const json_t *index)
{
    const char *name = json_text(index, "index");
    int64_t day = 0;
    if (name == NULL || !log_index_day(name, &day) || day >= expiry->today - expiry->keep_days) {
        return NULL;
    }
    if (is(index, "status", "close") || is(index, "sth", "true")) {
        log_info("index %s has expired and stays: it is closed or frozen", name);
        return NULL;
    }
    return name;
}

/* -1 only when continuing is pointless. */
static int delete_index(struct run *run, const char *name, struct expiry *expiry, struct error **err)
{
    _cleanup_free_ char *escaped = http_escape(name);
    _cleanup_free_ char *path = xasprintf("/%s", escaped);
    if (run->dry_run) {
        printf("would delete index %s\n", name);
        return 0;
    }
    _cleanup_error_ struct error *reason = NULL;
    if (elasticsearch_call(run->facts, "DELETE", path, NULL, run_deadline(run, REQUEST_S), NULL, &reason) == 0) {
        log_info("index %s deleted", name);
        expiry->deleted++;
        return 0;
    }
    if (reason->status != STATUS_LOG_UNREACHABLE) {
        return error_move(err, &reason);
    }
    log_warning("%s", reason->message);
    expiry->failed++;
    if (expiry->reason == NULL) {
        expiry->reason = STEAL(reason->message);
    }
    return 0;
}

static int delete_expired(struct run *run, const json_t *list, struct expiry *expiry, struct error **err)
{
    size_t i = 0;
    json_t *index = NULL;
    json_array_foreach (list, i, index) {
        const char *name = expired(expiry, index);
        if (name != NULL && delete_index(run, name, expiry, err) < 0) {
            return -1;
        }
    }
    if (expiry->failed > 0) {
        return error_new(err, STATUS_LOG_UNREACHABLE,
                         "%zu expired indices cannot be deleted: %s: check what the address in es_server may do, and "
                         "whether the indices are set read-only",
                         expiry->failed, expiry->reason);
    }
    return 0;
}

int prune_logs(struct run *run, struct error **err)
{
    struct expiry expiry = {.keep_days = run->facts->parameters.keep_log_days};
    _cleanup_json_ json_t *list = NULL;
    if (expiry.keep_days == 0) {
        log_info("keep_log_days is 0: all logs are kept");
        return 0;
    }
    if (run->facts->log_target == LOG_NODES && !elasticsearch_expected(run)) {
        log_info("this image has no Elasticsearch: no logs to delete");
        return 0;
    }
    if (list_indices(run, &list, err) < 0) {
        return error_wrap(err, "cannot list the indices of logs");
    }
    expiry.today = find_today(run);
    int result = delete_expired(run, list, &expiry, err);
    free(expiry.reason);
    if (!run->dry_run) {
        log_info("%zu indices with logs older than %d days deleted", expiry.deleted, expiry.keep_days);
    }
    return result;
}

const struct step step_prune_logs = {"delete old logs", NULL, prune_logs, prune_logs};
