#include "hooks/clients/elasticsearch.h"

#include "lib/net/http.h"

bool elasticsearch_expected(const struct run *run)
{
    return run->conf->addons.enabled && !strv_contains(run->conf->addons.skip, "elasticsearch");
}

int elasticsearch_get(const struct facts *facts, const char *path, struct deadline deadline, json_t **object,
                      struct error **err)
{
    _cleanup_free_ char *url = xasprintf("http://%s:%d%s", facts->es_host, facts->es_port, path);
    const struct http_request request = {.url = url};
    return http_json(&request, deadline, STATUS_LOG_UNREACHABLE, NULL, object, err);
}
