#include "hooks/clients/static_pods.h"

#include <time.h>

#include "hooks/clients/docker.h"
#include "lib/core/json.h"
#include "lib/net/http.h"

static int end_one(const json_t *container, const struct static_pod_end *end, struct deadline deadline,
                   struct error **err)
{
    const char *id = json_text(container, "Id");
    _cleanup_free_ char *path = end->signal != NULL ? xasprintf("/containers/%s/kill?signal=%s", id, end->signal)
                                                    : xasprintf("/containers/%s/stop?t=%d", id, end->grace_s);
    return docker_call("POST", path, deadline, NULL, err);
}

int static_pod_end(const char *name, const struct static_pod_end *end, struct deadline deadline, struct error **err)
{
    _cleanup_free_ char *label = xasprintf("io.kubernetes.container.name=%s", name);
    _cleanup_json_ json_t *containers = NULL;
    if (docker_containers(label, deadline, &containers, err) < 0) {
        return -1;
    }
    int stopped = 0;
    size_t i = 0;
    const json_t *container = NULL;
    json_array_foreach (containers, i, container) {
        if (time_between(json_integer_value(json_object_get(container, "Created")), (int64_t)time(NULL)) < end->age_s) {
            continue;
        }
        if (end_one(container, end, deadline, err) < 0) {
            return -1;
        }
        stopped++;
    }
    return stopped;
}

const struct component component_scheduler = {"kube-scheduler", 10259};
const struct component component_controller_manager = {"kube-controller-manager", 10257};

int component_probe(const struct component *component, struct deadline deadline, struct error **err)
{
    static const struct http_tls tls = {.self_signed = true};
    struct http *http __attribute__((cleanup(http_freep))) = NULL;
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_free_ char *url = xasprintf("https://127.0.0.1:%d/healthz", component->port);
    const struct http_request request = {.url = url, .limit = 65536};
    if (http_open(&http, &tls, err) < 0 || http_do(http, &request, deadline, STATUS_UNHEALTHY, &answer, err) < 0) {
        return -1;
    }
    if (answer.code != 200) {
        _cleanup_free_ char *reason = http_reason(&answer);
        return error_new(err, STATUS_UNHEALTHY, "%s answers %ld: %s", component->name, answer.code, reason);
    }
    return 0;
}
