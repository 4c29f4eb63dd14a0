#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/clients/elasticsearch.h"
#include "hooks/clients/etcd.h"
#include "hooks/clients/pods.h"
#include "hooks/engine/run.h"
#include "hooks/events/events.h"
#include "hooks/events/figures.h"
#include "hooks/events/metrics.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

/* The names are those of "monitor" in templates/appcenter/cluster.json.mustache; uses are in per mille there. What
 * cannot be read is left out, and the others are printed. */
#define API_SAMPLE "monitor.json"

/* As the alert LogsGivenUp has it (templates/addons/prometheus-config.yaml), of all outputs of all nodes. */
#define GIVEN_UP                                                                                                       \
    "/api/v1/namespaces/kube-system/services/prometheus:http/proxy/api/v1/query"                                       \
    "?query=ceil(sum(increase(fluentbit_output_retries_failed_total%5B1h%5D)))"

enum { ALL_MS = 900, PER_MILLE = 1000 };

static void put(json_t *items, const char *name, int64_t value)
{
    if (value >= 0) {
        json_object_set_new(items, name, json_integer(value));
    }
}

/* The kubelet's serving certificate is signed by its own CA, which lies in the same file, and names the node. */
static int read_summary(const struct run *run, struct deadline deadline, json_t **summary, struct error **err)
{
    struct http_tls tls = {
        .ca = "/var/lib/kubelet/pki/kubelet.crt",
        .cert = KUBELET_CLIENT_CERTIFICATE,
        .key = KUBELET_CLIENT_CERTIFICATE,
    };
    struct kube *kubelet __attribute__((cleanup(kube_freep))) = NULL;
    _cleanup_free_ char *server = xasprintf("https://%s:10250", run->facts->self->node_name);
    if (kube_open(&kubelet, server, &tls, err) < 0) {
        return -1;
    }
    return kube_get(kubelet, "/stats/summary?only_cpu_and_memory=true", deadline, summary, NULL, err);
}

static int add_node(struct run *run, json_t *items, struct deadline deadline, struct error **err)
{
    _cleanup_json_ json_t *summary = NULL;
    if (read_summary(run, deadline, &summary, err) < 0) {
        return -1;
    }
    struct node_use use = node_use_of(summary, sysconf(_SC_NPROCESSORS_ONLN));
    put(items, "running_pods", use.pods);
    put(items, "running_containers", use.containers);
    put(items, "cpu_use", use.cpu_permille);
    put(items, "memory_use", use.memory_permille);
    return 0;
}

static void add_disk(const struct run *run, json_t *items)
{
    _cleanup_free_ char *path = run_path_followed(run, run->conf->paths.data);
    struct statvfs fs;
    if (statvfs(path, &fs) == 0) {
        double total = (double)(fs.f_blocks - fs.f_bfree + fs.f_bavail);
        put(items, "disk_use", total > 0 ? (int64_t)((total - (double)fs.f_bavail) * PER_MILLE / total) : 0);
    }
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int keep_sample(const struct run *run, const struct api_sample *sample, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, API_SAMPLE);
    _cleanup_json_ json_t *json = api_sample_json(sample);
    _cleanup_free_ char *text = json_dumps(json, JSON_COMPACT);
    return file_put_private(path, text, err);
}

static bool add_line(void *sample, const char *line)
{
    api_sample_add(sample, line);
    return true;
}

static int add_api(struct run *run, json_t *items, struct deadline deadline, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, API_SAMPLE);
    struct api_sample now = {.at_ms = now_ms()};
    if (run_kube(run, err) < 0 || kube_get_lines(run->kube, "/metrics", deadline, add_line, &now, err) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *last = NULL;
    (void)file_read_json(path, &last, NULL);
    struct api_sample before = api_sample_parse(last);
    struct api_use use = api_use_between(&before, &now);
    put(items, "api_requests", use.requests_per_second);
    put(items, "api_latency", use.latency_ms);
    return run->dry_run ? 0 : keep_sample(run, &now, err);
}

static int add_etcd(struct run *run, json_t *items, struct deadline deadline, struct error **err)
{
    struct etcd_size size;
    if (run->facts->etcd_linked) {
        return 0;
    }
    if (etcd_size(ETCD_METRICS, deadline, &size, err) < 0) {
        return -1;
    }
    put(items, "etcd_use", size.file * PER_MILLE / size.quota);
    return 0;
}

static int add_documents(struct run *run, json_t *items, struct deadline deadline, struct error **err)
{
    _cleanup_json_ json_t *count = NULL;
    if (!elasticsearch_expected(run)) {
        return 0;
    }
    if (elasticsearch_get(run->facts, "/_count", deadline, &count, err) < 0) {
        return -1;
    }
    const json_t *documents = json_object_get(count, "count");
    put(items, "es_documents", json_is_integer(documents) ? json_integer_value(documents) : -1);
    return 0;
}

static int add_given_up(struct run *run, json_t *items, struct deadline deadline, struct error **err)
{
    _cleanup_json_ json_t *answer = NULL;
    if (!run->conf->addons.enabled || strv_contains(run->conf->addons.skip, "prometheus")) {
        return 0;
    }
    if (run_kube(run, err) < 0 || kube_get(run->kube, GIVEN_UP, deadline, &answer, NULL, err) < 0) {
        return -1;
    }
    put(items, "logs_given_up", prometheus_value(answer));
    return 0;
}

static int add_pod_addresses(struct run *run, json_t *items, struct deadline deadline, struct error **err)
{
    int64_t left = 0;
    int64_t all = 0;
    if (run->facts->network != NETWORK_HOSTNIC) {
        return 0;
    }
    if (run_kube(run, err) < 0 || pod_addresses_left(run->kube, run->facts, deadline, &left, &all, err) < 0) {
        return -1;
    }
    put(items, "pod_addresses_left", all == 0 ? -1 : left);
    return 0;
}

const struct figures figures_node = {add_node};
const struct figures figures_pod_addresses = {add_pod_addresses};
const struct figures figures_api_server = {add_api};
const struct figures figures_etcd = {add_etcd};
const struct figures figures_log_documents = {add_documents};
const struct figures figures_logs_given_up = {add_given_up};

int event_monitor(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *items = json_object();
    struct deadline all = deadline_earlier(run->deadline, deadline_in(ALL_MS));
    const struct figures *const *figures = run->role->figures;
    int64_t left = 0;
    while (figures[left] != NULL) {
        left++;
    }
    add_disk(run, items);
    for (; *figures != NULL; figures++, left--) {
        _cleanup_error_ struct error *failure = NULL;
        /* One that hangs must leave time for the next. */
        struct deadline deadline = deadline_in(deadline_left(all) / left);
        if ((*figures)->add(run, items, deadline, &failure) < 0) {
            log_debug("left out: %s", failure->message);
        }
    }
    if (json_dumpf(items, stdout, JSON_COMPACT) < 0) {
        return error_new(err, STATUS_FAILED, "the figures cannot be written");
    }
    (void)putchar('\n');
    return 0;
}
