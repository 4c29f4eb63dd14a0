#include "hooks/clients/docker.h"

#include "lib/net/http.h"

static int ask(const char *method, const char *path, struct deadline deadline, struct http_answer *answer,
               struct error **err)
{
    struct http *http __attribute__((cleanup(http_freep))) = NULL;
    _cleanup_free_ char *url = xasprintf("http://docker%s", path);
    const struct http_request request = {.method = method, .url = url, .socket = "/run/docker.sock"};
    if (http_open(&http, NULL, err) < 0 || http_do(http, &request, deadline, STATUS_COMMAND, answer, err) < 0) {
        return -1;
    }
    if (answer->code >= 200 && answer->code < 400) {
        return 0;
    }
    _cleanup_json_ json_t *reply = json_loadb(answer->body.data, answer->body.len, 0, NULL);
    const char *message = json_string_value(json_object_get(reply, "message"));
    return error_new(err, STATUS_COMMAND, "docker: %s %s: %ld %s", method, path, answer->code,
                     message == NULL ? "" : message);
}

int docker_ping(struct deadline deadline, struct error **err)
{
    _cleanup_answer_ struct http_answer answer = {0};
    return ask("GET", "/_ping", deadline, &answer, err);
}

int docker_call(const char *method, const char *path, struct deadline deadline, json_t **result, struct error **err)
{
    _cleanup_answer_ struct http_answer answer = {0};
    if (ask(method, path, deadline, &answer, err) < 0) {
        return -1;
    }
    json_t *reply = json_loadb(answer.body.data, answer.body.len, JSON_DECODE_ANY, NULL);
    if (result == NULL) {
        json_decref(reply);
        return 0;
    }
    *result = reply;
    return reply != NULL ? 0 : error_new(err, STATUS_COMMAND, "docker: %s %s: the answer is no JSON", method, path);
}
