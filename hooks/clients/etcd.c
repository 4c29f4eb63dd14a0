#include "hooks/clients/etcd.h"

#include <stdlib.h>
#include <string.h>

#include "app/paths.h"
#include "lib/core/json.h"
#include "lib/net/http.h"
#include "lib/system/proc.h"

/* {"health":"true"}; with an alarm raised "false" (etcd.io/docs/v3.4/op-guide/monitoring), in either case with 200 or
 * 503 by version. */
int etcd_health(const char *url, struct deadline deadline, struct error **err)
{
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_free_ char *path = xasprintf("%s/health", url);
    const struct http_request request = {.url = path, .limit = 65536};
    if (http_json(&request, deadline, STATUS_UNHEALTHY, NULL, &answer, err) < 0) {
        return -1;
    }
    const char *health = json_text(answer, "health");
    const char *reason = json_text(answer, "reason");
    if (health != NULL && strcmp(health, "true") == 0) {
        return 0;
    }
    return error_new(
        err, STATUS_UNHEALTHY,
        "etcd reports that it is not healthy%s%s: it has no leader, or an alarm (out of space, corrupt) is "
        "raised",
        reason == NULL ? "" : ", ", reason == NULL ? "" : reason);
}

/* A petabyte: a larger number is not a size, and does not fit into what is computed from it. */
static const double LARGEST = 1e15;

static bool take(const char *line, const char *name, int64_t *value)
{
    size_t len = strlen(name);
    if (strncmp(line, name, len) != 0 || line[len] != ' ') {
        return false;
    }
    double bytes = strtod(line + len + 1, NULL);
    if (bytes >= 0 && bytes < LARGEST) {
        *value = (int64_t)bytes;
    }
    return true;
}

static bool take_line(void *context, const char *line)
{
    struct etcd_size *size = context;
    (void)(take(line, "etcd_mvcc_db_total_size_in_bytes", &size->file) ||
           take(line, "etcd_mvcc_db_total_size_in_use_in_bytes", &size->in_use) ||
           take(line, "etcd_server_quota_backend_bytes", &size->quota));
    return size->file < 0 || size->in_use < 0 || size->quota < 0;
}

int etcd_size(const char *url, struct deadline deadline, struct etcd_size *size, struct error **err)
{
    _cleanup_free_ char *path = xasprintf("%s/metrics", url);
    *size = (struct etcd_size){-1, -1, -1};
    const struct http_request request = {.url = path, .limit = 65536, .line = take_line, .line_context = size};
    if (http_fetch(&request, deadline, STATUS_UNHEALTHY, NULL, NULL, err) < 0) {
        return -1;
    }
    return size->file >= 0 && size->quota > 0
               ? 0
               : error_new(err, STATUS_UNHEALTHY, "%s has neither the size of the database nor its quota", path);
}

int etcdctl(const char *const *arguments, struct deadline deadline, char **output, struct error **err)
{
    static const char *const environment[] = {"ETCDCTL_API=3", NULL};
    /* etcdctl's own limit of five seconds is too short for a defragmentation. */
    static const char *const common[] = {
        "etcdctl",
        "--endpoints=https://127.0.0.1:2379",
        "--cacert=" PKI_DIRECTORY "/etcd/ca.crt",
        "--cert=" PKI_DIRECTORY "/etcd/healthcheck-client.crt",
        "--key=" PKI_DIRECTORY "/etcd/healthcheck-client.key",
        "--command-timeout=300s",
    };
    _cleanup_strv_ char **argv = NULL;
    _cleanup_proc_ struct proc_result result = {0};
    for (size_t i = 0; i < ELEMENTS(common); i++) {
        strv_push(&argv, common[i]);
    }
    for (; *arguments != NULL; arguments++) {
        strv_push(&argv, *arguments);
    }
    const struct proc proc = {.argv = (const char *const *)argv,
                              .environment = environment,
                              .keep_output = output != NULL,
                              .deadline = deadline};
    if (proc_run(&proc, &result, err) < 0) {
        return -1;
    }
    if (output != NULL) {
        *output = STEAL(result.output);
    }
    return 0;
}
