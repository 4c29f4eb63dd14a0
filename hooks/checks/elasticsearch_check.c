#include <string.h>

#include "hooks/checks/checks.h"
#include "hooks/clients/elasticsearch.h"
#include "lib/core/json.h"

static void probe_elasticsearch(const struct check_context *context, struct finding *finding)
{
    static const char remedy[] =
        "see `kubectl -n kube-system get pods -l k8s-app=elasticsearch-logging -o wide` on the client";
    if (!elasticsearch_expected(context->run)) {
        finding_ok(finding, "this image has no Elasticsearch");
        return;
    }
    struct error *err = NULL;
    _cleanup_json_ json_t *health = NULL;
    if (elasticsearch_get(context->run->facts, "/_cluster/health", context->deadline, &health, &err) < 0) {
        finding_error(finding, remedy, err);
        return;
    }
    const char *status = json_text(health, "status");
    json_int_t unassigned = json_integer_value(json_object_get(health, "unassigned_shards"));
    if (status != NULL && strcmp(status, "green") == 0) {
        finding_ok(finding, "Elasticsearch is green");
    } else if (status != NULL && strcmp(status, "yellow") == 0) {
        finding_warns(finding, remedy, "Elasticsearch is yellow: %lld shards have no second copy", unassigned);
    } else {
        finding_fails(finding, remedy, "Elasticsearch is %s: %lld shards unassigned",
                      status == NULL ? "in an unknown state" : status, unassigned);
    }
}

const struct check check_elasticsearch = {.name = "elasticsearch", .severity = FAILS, .probe = probe_elasticsearch};
