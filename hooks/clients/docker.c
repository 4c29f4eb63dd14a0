#include "hooks/clients/docker.h"

#include "lib/net/http.h"

/* a container is started or stopped already */
enum { NOT_MODIFIED = 304 };

int docker_call(const char *method, const char *path, struct deadline deadline, json_t **result, struct error **err)
{
    _cleanup_free_ char *url = xasprintf("http://docker%s", path);
    const struct http_request request = {.method = method, .url = url, .socket = "/run/docker.sock"};
    _cleanup_error_ struct error *why = NULL;
    long code = 0;
    int r = result != NULL ? http_json(&request, deadline, STATUS_COMMAND, &code, result, &why)
                           : http_fetch(&request, deadline, STATUS_COMMAND, &code, NULL, &why);
    return r == 0 || (result == NULL && code == NOT_MODIFIED) ? 0 : error_move(err, &why);
}

int docker_containers(const char *label, struct deadline deadline, json_t **containers, struct error **err)
{
    _cleanup_free_ char *filter = xasprintf("{\"label\":[\"%s\"]}", label);
    _cleanup_free_ char *escaped = http_escape(filter);
    _cleanup_free_ char *path = xasprintf("/containers/json?filters=%s", escaped);
    return docker_call("GET", path, deadline, containers, err);
}

int docker_ping(struct deadline deadline, struct error **err)
{
    return docker_call("GET", "/_ping", deadline, NULL, err);
}
