#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

/* Whether a node is there is known soon; what it writes or looks for takes what a busy machine needs. The real one
 * waits a minute for a write (ReplicationRequest), and 15 for a piece of a copy (RecoverySettings). */
enum { ANSWER_S = 5, DATA_S = 30 };

static int patience(const char *path)
{
    static const char *const data[] = {"/items", "/lines", "/copy", "/count", "/search"};
    for (size_t i = 0; i < ELEMENTS(data); i++) {
        if (strcmp(path, data[i]) == 0) {
            return DATA_S;
        }
    }
    return ANSWER_S;
}

json_t *transport_call(const char *address, const char *path, json_t *body)
{
    _cleanup_json_ json_t *owned = body;
    _cleanup_free_ char *host = xstrndup(address, strcspn(address, ":"));
    const char *colon = strchr(address, ':');
    _cleanup_free_ char *text = json_dumps(body, JSON_COMPACT);
    struct http_server server = {
        .host = host, .port = colon == NULL ? 0 : number_of(colon + 1), .seconds = patience(path)};
    struct http_call call = {"POST", path, NULL, "application/json", text, strlen(text)};
    struct http_answer answer = {0};
    if (server.port == 0) {
        return NULL;
    }
    int status = http_call(&server, &call, &answer);
    json_t *json = status == 200 ? json_loadb(answer.body.data, answer.body.len, 0, NULL) : NULL;
    buffer_free(&answer.body);
    return json;
}

static json_t *do_here(const json_t *body)
{
    json_t *problem = NULL;
    return master_apply(text_at(body, "operation"), json_object_get(body, "arguments"), &problem)
               ? json_object()
               : json_pack("{so}", "error", problem);
}

static void take(const struct http_request *request, struct http_reply *reply, void *data)
{
    _cleanup_json_ json_t *body = json_loadb(request->body, request->length, 0, NULL);
    json_t *answer = strcmp(request->path, "/master") == 0 ? do_here(body) : election_take(request->path, body);
    (void)data;
    answer = answer == NULL ? shards_take(request->path, body) : answer;
    if (answer == NULL) {
        reply->status = 404;
    } else {
        reply_json(reply, answer);
    }
}

void cluster_start(void)
{
    state_load();
    json_t *state = state_get();
    store_load(json_object_get(state, "indices"));
    json_decref(state);
    if (node.transport_port != 0) {
        http_serve(node.transport_port, NULL, take, NULL);
    }
    election_start();
}
