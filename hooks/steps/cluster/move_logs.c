#include <string.h>

#include "hooks/clients/elasticsearch.h"
#include "hooks/clients/pods.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cluster/leaving.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

/* Elasticsearch 5 to 8 and OpenSearch. A node's name there is its Kubernetes node's (templates/efk/elasticsearch.yaml).
 */

#define STATEFUL_SET "/apis/apps/v1/namespaces/kube-system/statefulsets/elasticsearch-logging"
#define PODS "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Delasticsearch-logging"
#define EXCLUDE "cluster.routing.allocation.exclude._name"

/* Without a shard on its way for so long, none will move any more. */
enum { ANSWER_S = 30, STUCK_S = 30, PAUSE_MS = 1000, ELECTION_S = 60 };

/* The usual cluster.routing.allocation.disk.watermark.low: no shard is moved to a disk that is fuller. */
enum { WATERMARK_PERCENT = 85 };

struct logs_move {
    char **leaving;
    json_t *replicas; /* index: how many it had before they were lowered */
    bool voting;      /* voting exclusions were made */
};

static struct deadline short_deadline(const struct run *run)
{
    return run_deadline(run, ANSWER_S);
}

static long number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? strtol(json_string_value(value), NULL, 10) : (long)json_integer_value(value);
}

/* Whether there is anything to move. */
static bool concerned(const struct run *run, char *const *leaving)
{
    return *leaving != NULL && run->facts->n_logs > 0 && run->facts->log_target == LOG_NODES &&
           elasticsearch_expected(run);
}

static int all_discarded(struct run *run, char *const *leaving, bool *all, struct error **err)
{
    *all = true;
    for (; *leaving != NULL; leaving++) {
        _cleanup_json_ json_t *node = NULL;
        if (leaving_node(run, *leaving, &node, err) < 0) {
            return -1;
        }
        *all = *all && node_discarded(node);
    }
    return 0;
}

/* Red: some shard has no copy at all, and the one that is missing may lie on a node that leaves. */
static int check_health(const struct run *run, struct error **err)
{
    _cleanup_json_ json_t *health = NULL;
    _cleanup_error_ struct error *why = NULL;
    if (elasticsearch_get(run->facts, "/_cluster/health", short_deadline(run), &health, &why) < 0) {
        return error_new(err, STATUS_DESTROY_DATA, "cannot determine whether the logs have another copy: %s",
                         why->message);
    }
    const char *status = json_text(health, "status");
    return status != NULL && strcmp(status, "red") != 0
               ? 0
               : error_new(err, STATUS_DESTROY_DATA,
                           "Elasticsearch is %s: %ld shards are unassigned and may have their "
                           "last copy on the nodes that leave",
                           status == NULL ? "in an unknown state" : status, number(health, "unassigned_shards"));
}

static int check_room(const struct run *run, char *const *leaving, struct error **err)
{
    _cleanup_json_ json_t *nodes = NULL;
    if (elasticsearch_call(run->facts, "GET",
                           "/_cat/allocation?format=json&bytes=b&h=node,shards,disk.indices,disk.avail,disk.total",
                           NULL, short_deadline(run), &nodes, err) < 0) {
        return -1;
    }
    int64_t moved = 0;
    int64_t room = 0;
    size_t i;
    json_t *node;
    json_array_foreach (nodes, i, node) {
        const char *name = json_text(node, "node");
        int64_t free_bytes = number(node, "disk.avail") - number(node, "disk.total") / 100 * (100 - WATERMARK_PERCENT);
        if (name != NULL && strv_contains(leaving, name)) {
            moved += number(node, "disk.indices");
        } else if (name != NULL && free_bytes > 0) {
            room += free_bytes;
        }
    }
    return moved <= room ? 0
                         : error_new(err, STATUS_SCALE_IN_LOGS,
                                     "the logs on the nodes that leave take %lld MiB, the log nodes that stay have "
                                     "room for %lld MiB: delete old logs, or give the log nodes larger volumes",
                                     (long long)(moved >> 20), (long long)(room >> 20));
}

int logs_check(struct run *run, char *const *leaving, struct error **err)
{
    bool given_up = false;
    if (!concerned(run, leaving)) {
        return 0;
    }
    if (all_discarded(run, leaving, &given_up, err) < 0) {
        return -1;
    }
    if (given_up) {
        log_warning("what only the log nodes that leave hold is given up (" DISCARD_ANNOTATION ")");
        return 0;
    }
    return check_health(run, err) < 0 ? -1 : check_room(run, leaving, err);
}

static int put(const struct run *run, const char *path, json_t *body, struct error **err)
{
    _cleanup_json_ json_t *owned = body;
    return elasticsearch_call(run->facts, "PUT", path, owned, short_deadline(run), NULL, err);
}

static int set_excluded(const struct run *run, json_t *names, struct error **err)
{
    return put(run, "/_cluster/settings", json_pack("{s{so}}", "persistent", EXCLUDE, names), err);
}

static int set_replicas(const struct run *run, const char *index, long replicas, struct error **err)
{
    _cleanup_free_ char *path = xasprintf("/%s/_settings", index);
    return put(run, path, json_pack("{s{sI}}", "index", "number_of_replicas", (json_int_t)replicas), err);
}

/* A shard's copies lie on as many nodes, so more than those that stay can never be placed. */
static int lower_replicas(const struct run *run, struct logs_move *move, struct error **err)
{
    _cleanup_json_ json_t *indices = NULL;
    if (elasticsearch_get(run->facts, "/_all/_settings?expand_wildcards=all&flat_settings=true", short_deadline(run),
                          &indices, err) < 0) {
        return -1;
    }
    const char *name;
    json_t *index;
    json_object_foreach (indices, name, index) {
        const json_t *settings = json_object_get(index, "settings");
        const char *automatic = json_text(settings, "index.auto_expand_replicas");
        long replicas = number(settings, "index.number_of_replicas");
        long most = run->facts->n_logs - 1;
        if (replicas <= most || (automatic != NULL && strcmp(automatic, "false") != 0)) {
            continue;
        }
        if (set_replicas(run, name, most, err) < 0) {
            return -1;
        }
        json_object_set_new(move->replicas, name, json_integer(replicas));
        log_notice("index %s: %ld replicas become %ld, as %d log nodes stay", name, replicas, most, run->facts->n_logs);
    }
    return 0;
}

static char *joined(char *const *names)
{
    struct buffer list = {0};
    for (; *names != NULL; names++) {
        buffer_printf(&list, "%s%s", list.len == 0 ? "" : ",", *names);
    }
    return list.data;
}

/* Shards on LEAVING, and in the whole cluster those on their way. */
static int count_shards(const struct run *run, char *const *leaving, long *left, long *moving, struct error **err)
{
    _cleanup_json_ json_t *nodes = NULL;
    _cleanup_json_ json_t *health = NULL;
    if (elasticsearch_call(run->facts, "GET", "/_cat/allocation?format=json&h=node,shards", NULL, short_deadline(run),
                           &nodes, err) < 0 ||
        elasticsearch_get(run->facts, "/_cluster/health", short_deadline(run), &health, err) < 0) {
        return -1;
    }
    size_t i;
    json_t *node;
    *left = 0;
    *moving = number(health, "relocating_shards") + number(health, "initializing_shards");
    json_array_foreach (nodes, i, node) {
        const char *name = json_text(node, "node");
        *left += name != NULL && strv_contains(leaving, name) ? number(node, "shards") : 0;
    }
    return 0;
}

static int await_moved(struct run *run, char *const *leaving, struct error **err)
{
    struct deadline stuck = deadline_in(STUCK_S * 1000L);
    _cleanup_free_ char *names = joined(leaving);
    long before = -1;
    for (;;) {
        long left = 0;
        long moving = 0;
        if (count_shards(run, leaving, &left, &moving, err) < 0) {
            return -1;
        }
        if (left == 0) {
            log_info("no shard is left on %s", names);
            return 0;
        }
        if (left != before) {
            log_info("%ld shards are still on %s", left, names);
        }
        if (left != before || moving > 0) {
            stuck = deadline_in(STUCK_S * 1000L);
        }
        before = left;
        if (deadline_left(stuck) == 0) {
            return error_new(err, STATUS_SCALE_IN_LOGS,
                             "%ld shards stay on %s and none has moved for %d s: no other log node takes them (disk "
                             "watermark, allocation rules of an index): see /_cluster/allocation/explain",
                             left, names, STUCK_S);
        }
        if (run_pause(PAUSE_MS, run->deadline, err) < 0) {
            return error_wrap(err, "moving the logs off %s, %ld shards are left", names, left);
        }
    }
}

/* Before 7.0 there is no such API; the path in place of node_names was all there was until 7.8. A failure is not fatal:
 * nodes that leave one after the other are taken out of the voting configuration by themselves. */
static bool leave_election(const struct run *run, char *const *leaving)
{
    _cleanup_json_ json_t *root = NULL;
    _cleanup_error_ struct error *why = NULL;
    _cleanup_free_ char *names = joined(leaving);
    const char *version = NULL;
    const char *distribution = "";
    if (elasticsearch_get(run->facts, "/", short_deadline(run), &root, &why) < 0) {
        log_warning("voting exclusions not made: %s", why->message);
        return false;
    }
    (void)json_unpack(root, "{s{ss s?s}}", "version", "number", &version, "distribution", &distribution);
    char *rest = NULL;
    long major = version == NULL ? 0 : strtol(version, &rest, 10);
    long minor = rest == NULL || *rest != '.' ? 0 : strtol(rest + 1, NULL, 10);
    bool opensearch = strcmp(distribution, "opensearch") == 0;
    if (major < 7 && !opensearch) {
        return false;
    }
    bool by_query = opensearch || major > 7 || minor >= 8;
    _cleanup_free_ char *path =
        xasprintf("/_cluster/voting_config_exclusions%s%s", by_query ? "?node_names=" : "/", names);
    if (elasticsearch_call(run->facts, "POST", path, NULL, run_deadline(run, ELECTION_S), NULL, &why) < 0) {
        log_warning("voting exclusions not made: %s", why->message);
        return false;
    }
    return true;
}

/* Undoing must not hide why something failed, so what fails here is only logged. */
static void log_failure(int result, struct error **why)
{
    if (result < 0) {
        log_warning("%s", (*why)->message);
        error_freep(why);
        *why = NULL;
    }
}

/* Where those that left have just ended, Elasticsearch may have no master for a while. A name that stays excluded gets
 * no logs when a log node of that name is added. */
static void undo(const struct run *run, const char *method, const char *path, const json_t *body)
{
    struct deadline deadline = run_deadline(run, ELECTION_S);
    for (;;) {
        _cleanup_error_ struct error *why = NULL;
        if (elasticsearch_call(run->facts, method, path, body, deadline_earlier(deadline, short_deadline(run)), NULL,
                               &why) == 0) {
            return;
        }
        if (run_pause(PAUSE_MS, deadline, NULL) < 0) {
            _cleanup_free_ char *data = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
            log_warning("Elasticsearch keeps what was set for log nodes that left (%s); once it answers, send it: "
                        "%s %s%s%s",
                        why->message, method, path, data == NULL ? "" : " ", data == NULL ? "" : data);
            return;
        }
    }
}

static void clear_exclusions(const struct run *run, const struct logs_move *move)
{
    _cleanup_json_ json_t *settings = json_pack("{s{sn}}", "persistent", EXCLUDE);
    undo(run, "PUT", "/_cluster/settings", settings);
    if (move->voting) {
        undo(run, "DELETE", "/_cluster/voting_config_exclusions?wait_for_removal=false", NULL);
    }
}

static void free_move(struct logs_move *move)
{
    strv_free(move->leaving);
    json_decref(move->replicas);
    free(move);
}

void logs_move_end(struct run *run, struct logs_move *move, bool left)
{
    const char *index;
    json_t *replicas;
    if (move == NULL) {
        return;
    }
    clear_exclusions(run, move);
    json_object_foreach (move->replicas, index, replicas) {
        struct error *why = NULL;
        log_failure(left ? 0 : set_replicas(run, index, (long)json_integer_value(replicas), &why), &why);
    }
    free_move(move);
}

static int begin(struct run *run, struct logs_move *move, struct error **err)
{
    _cleanup_free_ char *names = joined(move->leaving);
    if (lower_replicas(run, move, err) < 0 || set_excluded(run, json_string(names), err) < 0 ||
        await_moved(run, move->leaving, err) < 0) {
        return -1;
    }
    move->voting = leave_election(run, move->leaving);
    return 0;
}

int logs_move_begin(struct run *run, char *const *leaving, struct logs_move **move, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    bool given_up = false;
    *move = NULL;
    if (!concerned(run, leaving) || logs_check(run, leaving, err) < 0) {
        return concerned(run, leaving) ? -1 : 0;
    }
    struct logs_move *m = xcalloc(1, sizeof *m);
    m->replicas = json_object();
    for (; *leaving != NULL; leaving++) {
        strv_push(&m->leaving, *leaving);
    }
    if (begin(run, m, &failure) == 0) {
        *move = m;
        return 0;
    }
    if (all_discarded(run, m->leaving, &given_up, NULL) == 0 && given_up && failure->status != STATUS_INTERRUPTED) {
        log_warning("the logs are not moved, and given up: %s", failure->message);
        *move = m;
        return 0;
    }
    logs_move_end(run, m, false);
    return error_move(err, &failure);
}

/* How the StatefulSet's pods are: with the log nodes that leave cordoned, one that was evicted may have no node to go
 * to until there are fewer pods. */
struct set_pods {
    long all;
    long ready;
    long unplaced;
};

static int count_pods(struct run *run, struct set_pods *pods, struct error **err)
{
    _cleanup_json_ json_t *list = NULL;
    if (kube_get(run->kube, PODS, run_deadline(run, 30), &list, NULL, err) < 0) {
        return -1;
    }
    *pods = (struct set_pods){0};
    size_t i;
    const json_t *pod;
    json_array_foreach (json_object_get(list, "items"), i, pod) {
        pods->all++;
        pods->ready += pod_has_condition(pod, "Ready", "True");
        pods->unplaced += pod_has_condition(pod, "PodScheduled", "False");
    }
    return 0;
}

/* Until each of the REPLICAS pods is ready, or, where there may be fewer still, has no node to go to: then *UNPLACED is
 * not 0. The scheduler may be about to place it, so that has to be seen twice. */
static int await_pods(struct run *run, long replicas, bool *unplaced, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.api_s);
    bool last = replicas <= run->facts->n_logs;
    bool before = false;
    for (;;) {
        struct set_pods pods;
        if (count_pods(run, &pods, err) < 0) {
            return -1;
        }
        bool settled = pods.all == replicas && pods.ready + pods.unplaced == replicas;
        *unplaced = settled && pods.unplaced > 0;
        if (settled && (!*unplaced || (before && !last))) {
            return 0;
        }
        before = *unplaced;
        if (run_pause(PAUSE_MS, deadline, err) < 0) {
            return error_wrap(err, "statefulset kube-system/elasticsearch-logging: %ld of %ld pods ready", pods.ready,
                              replicas);
        }
    }
}

int logs_shrink(struct run *run, struct error **err)
{
    bool unplaced = true;
    if (run_kube(run, err) < 0) {
        return -1;
    }
    while (unplaced) {
        _cleanup_json_ json_t *set = NULL;
        _cleanup_error_ struct error *why = NULL;
        long code = 0;
        if (kube_get(run->kube, STATEFUL_SET, run_deadline(run, 30), &set, &code, &why) < 0) {
            return code == 404 ? 0 : error_move(err, &why);
        }
        long replicas = number(json_object_get(set, "spec"), "replicas");
        if (run->facts->n_logs == 0 || replicas <= run->facts->n_logs) {
            return 0;
        }
        _cleanup_json_ json_t *patch = json_pack("{s{sI}}", "spec", "replicas", (json_int_t)(replicas - 1));
        if (kube_merge_patch(run->kube, STATEFUL_SET, patch, run_deadline(run, 30), err) < 0 ||
            await_pods(run, replicas - 1, &unplaced, err) < 0) {
            return -1;
        }
    }
    return 0;
}
