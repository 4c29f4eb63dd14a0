#include "hooks/clients/elasticsearch.h"

#include "lib/net/http.h"

bool elasticsearch_expected(const struct run *run)
{
    return run->conf->addons.enabled && !strv_contains(run->conf->addons.skip, "elasticsearch");
}

int elasticsearch_get(const struct facts *facts, const char *path, struct deadline deadline, json_t **object,
                      struct error **err)
{
    struct http *http __attribute__((cleanup(http_freep))) = NULL;
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_free_ char *url = xasprintf("http://%s:%d%s", facts->es_host, facts->es_port, path);
    const struct http_request request = {.url = url};
    if (http_open(&http, NULL, err) < 0 ||
        http_do(http, &request, deadline, STATUS_LOG_UNREACHABLE, &answer, err) < 0) {
        return -1;
    }
    json_t *reply = json_loadb(answer.body.data, answer.body.len, 0, NULL);
    if (answer.code != 200 || !json_is_object(reply)) {
        json_decref(reply);
        return error_new(err, STATUS_LOG_UNREACHABLE, "GET %s: Elasticsearch answers %ld", url, answer.code);
    }
    *object = reply;
    return 0;
}
