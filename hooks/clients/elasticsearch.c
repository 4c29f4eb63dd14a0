#include "hooks/clients/elasticsearch.h"

#include <string.h>

#include "lib/net/http.h"

bool elasticsearch_expected(const struct run *run)
{
    return run->conf->addons.enabled && !strv_contains(run->conf->addons.skip, "elasticsearch");
}

int elasticsearch_call(const struct facts *facts, const char *method, const char *path, const json_t *body,
                       struct deadline deadline, json_t **answer, struct error **err)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    _cleanup_free_ char *url = xasprintf("http://%s:%d%s", facts->es_host, facts->es_port, path);
    _cleanup_free_ char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    const struct http_request request = {
        .method = method,
        .url = url,
        .headers = text == NULL ? NULL : headers,
        .body = text,
        .body_len = text == NULL ? 0 : strlen(text),
    };
    return answer == NULL ? http_fetch(&request, deadline, STATUS_LOG_UNREACHABLE, NULL, NULL, err)
                          : http_json(&request, deadline, STATUS_LOG_UNREACHABLE, NULL, answer, err);
}

int elasticsearch_get(const struct facts *facts, const char *path, struct deadline deadline, json_t **value,
                      struct error **err)
{
    return elasticsearch_call(facts, NULL, path, NULL, deadline, value, err);
}
