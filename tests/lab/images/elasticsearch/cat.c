#include <string.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"

enum { VOTES_S = 30, PAUSE_US = 200000 };

void get_health(const struct http_request *request, struct http_reply *reply)
{
    _cleanup_json_ json_t *state = state_get();
    struct shards shards = shards_of(state);
    json_int_t nodes = (json_int_t)json_object_size(json_object_get(state, "nodes"));
    bool recovered = json_is_true(json_object_get(state, "recovered"));
    (void)request;
    if (text_at(state, "master")[0] == '\0') {
        refuse(reply, 503, es_error("master_not_discovered_exception", "no master"));
        return;
    }
    const char *status = shards.red || !recovered                           ? "red"
                         : shards.unassigned > 0 || shards.initializing > 0 ? "yellow"
                                                                            : "green";
    double all = shards.active + shards.initializing + shards.unassigned;
    reply_json(reply,
               json_pack("{ss ss sb sI sI si si si si si si si sf}", "cluster_name", "kubernetes-logging", "status",
                         status, "timed_out", 0, "number_of_nodes", nodes, "number_of_data_nodes", nodes,
                         "active_primary_shards", shards.primaries, "active_shards", shards.active, "relocating_shards",
                         shards.relocating, "initializing_shards", shards.initializing, "unassigned_shards",
                         shards.unassigned, "delayed_unassigned_shards", 0, "number_of_pending_tasks", 0,
                         "active_shards_percent_as_number", all > 0 ? shards.active * 100.0 / all : 100.0));
}

static const char *health_of(const json_t *index)
{
    size_t copies = 0;
    const char *name;
    json_t *value;
    json_object_foreach (json_object_get((json_t *)index, "copies"), name, value) {
        copies += strcmp(json_string_value(value), "started") == 0;
    }
    return text_at(index, "primary")[0] == '\0' ? "red" : copies > (size_t)replicas_of(index) ? "green" : "yellow";
}

static json_t *index_rows(const json_t *state)
{
    _cleanup_json_ json_t *names = names_of("");
    _cleanup_json_ json_t *counts = shards_count(names);
    json_t *rows = json_array();
    const char *name;
    json_t *index;
    json_object_foreach (json_object_get((json_t *)state, "indices"), name, index) {
        _cleanup_free_ char *count = xasprintf("%lld", (long long)json_integer_value(json_object_get(counts, name)));
        _cleanup_free_ char *replicas = xasprintf("%d", replicas_of(index));
        json_array_append_new(rows,
                              json_pack("{ss ss ss ss ss ss ss}", "health", health_of(index), "status", "open", "index",
                                        name, "pri", "1", "rep", replicas, "docs.count", count, "sth", "false"));
    }
    return rows;
}

static json_t *node_rows(const json_t *state)
{
    json_t *rows = json_array();
    const char *name;
    json_t *about;
    json_object_foreach (json_object_get((json_t *)state, "nodes"), name, about) {
        size_t n = 0;
        const char *key;
        json_t *index;
        json_object_foreach (json_object_get((json_t *)state, "indices"), key, index) {
            n += json_object_get(json_object_get(index, "copies"), name) != NULL;
        }
        _cleanup_free_ char *count = xasprintf("%zu", n);
        const char *master = strcmp(name, text_at(state, "master")) == 0 ? "*" : "-";
        json_array_append_new(rows, json_pack("{ss ss ss ss ss ss ss}", "node", name, "name", name, "master", master,
                                              "shards", count, "disk.indices", "1048576", "disk.avail", "34359738368",
                                              "disk.total", "68719476736"));
    }
    return rows;
}

static json_t *shard_rows(const json_t *state)
{
    json_t *rows = json_array();
    const char *key;
    json_t *index;
    json_object_foreach (json_object_get((json_t *)state, "indices"), key, index) {
        const char *name;
        json_t *value;
        json_object_foreach (json_object_get(index, "copies"), name, value) {
            const char *kind = strcmp(name, text_at(index, "primary")) == 0 ? "p" : "r";
            const char *doing = strcmp(json_string_value(value), "started") != 0                  ? "INITIALIZING"
                                : json_object_get(json_object_get(index, "moving"), name) != NULL ? "RELOCATING"
                                                                                                  : "STARTED";
            json_array_append_new(
                rows, json_pack("{ss ss ss ss}", "index", key, "prirep", kind, "state", doing, "node", name));
        }
    }
    return rows;
}

/* Rows as JSON, or as text of the columns that were asked for. */
static void reply_table(const struct http_request *request, struct http_reply *reply, json_t *rows)
{
    _cleanup_free_ char *format = query_value(request, "format");
    _cleanup_free_ char *columns = query_value(request, "h");
    size_t i;
    json_t *row;
    if (format != NULL && strcmp(format, "json") == 0) {
        reply_json(reply, rows);
        return;
    }
    reply->type = "text/plain";
    json_array_foreach (rows, i, row) {
        _cleanup_free_ char *wanted = xstrdup(columns == NULL ? "health,status,index,pri,rep,docs.count" : columns);
        char *rest = NULL;
        for (char *name = strtok_r(wanted, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
            const char *text = json_text(row, name);
            buffer_printf(&reply->body, "%s ", text == NULL ? "" : text);
        }
        buffer_puts(&reply->body, "\n");
    }
    json_decref(rows);
}

void get_cat(const struct http_request *request, const char *what, struct http_reply *reply)
{
    _cleanup_json_ json_t *state = state_get();
    json_t *rows = strcmp(what, "indices") == 0                                    ? index_rows(state)
                   : strcmp(what, "allocation") == 0 || strcmp(what, "nodes") == 0 ? node_rows(state)
                   : strcmp(what, "shards") == 0                                   ? shard_rows(state)
                                                                                   : NULL;
    if (rows == NULL) {
        refuse(reply, 400, es_error("illegal_argument_exception", "no _cat/%s here", what));
    } else {
        reply_table(request, reply, rows);
    }
}

static bool votes(const json_t *names)
{
    _cleanup_json_ json_t *state = state_get();
    size_t i, j;
    json_t *name;
    json_t *voter;
    if (text_at(state, "master")[0] == '\0') {
        return true;
    }
    json_array_foreach (names, i, name) {
        json_array_foreach (json_object_get(state, "voting"), j, voter) {
            if (json_equal(name, voter)) {
                return true;
            }
        }
    }
    return false;
}

/* POST ?node_names=A,B answers once none of them votes any more, and there is a master. */
void voting_exclusions(const struct http_request *request, struct http_reply *reply)
{
    bool post = strcmp(request->method, "POST") == 0;
    _cleanup_free_ char *list = query_value(request, "node_names");
    json_t *names = json_array();
    char *rest = NULL;
    if (post && (list == NULL || list[0] == '\0')) {
        json_decref(names);
        refuse(reply, 400,
               es_error("illegal_argument_exception", "Please set node identifiers correctly. One and only one of "
                                                      "[node_name], [node_names] and [node_ids] has to be set"));
        return;
    }
    for (char *name = post ? strtok_r(list, ",", &rest) : NULL; name != NULL; name = strtok_r(NULL, ",", &rest)) {
        json_array_append_new(names, json_string(name));
    }
    json_t *problem = master_do("exclusions", json_pack("{sO}", "names", names));
    for (int i = 0; problem == NULL && votes(names) && i < VOTES_S * 1000000 / PAUSE_US; i++) {
        (void)usleep(PAUSE_US);
    }
    if (problem != NULL) {
        refuse(reply, 503, problem);
    } else if (votes(names)) {
        refuse(reply, 500, es_error("timeout_exception", "timed out waiting for voting config exclusions"));
    } else {
        reply->type = "text/plain"; /* nothing but that it was taken */
    }
    json_decref(names);
}
