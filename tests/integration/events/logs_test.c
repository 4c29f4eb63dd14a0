/* Log nodes leave: what is asked of Elasticsearch, and what is done when it cannot be. Its part is played: a shard
 * moves off an excluded node each time somebody looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include <microhttpd.h>

#include "hooks/engine/run.h"
#include "hooks/steps/cluster/leaving.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "tests/integration/api_objects.h"
#include "tests/lab/shared/apiserver.h"
#include "tests/lab/shared/cluster.h"

static struct apiserver server;
static const struct role master = {.name = "master", .state = "/data/kubernetes/hooks", .control_plane = true};
static struct conf conf;
static struct run run;
static struct MHD_Daemon *daemon_of_elasticsearch;

static struct {
    const char *status, *version, *distribution;
    long shards[5];  /* of log-1, log-2, ... */
    long long bytes; /* of indices on each node */
    char excluded[64];
    int without_master;    /* so many times nothing is taken back */
    int replicas;          /* of its one index */
    struct buffer changes; /* "METHOD /path?query body\n" of all but GET */
} es;

static char *allocation(void)
{
    struct buffer text = {0};
    buffer_puts(&text, "[");
    for (int i = 1; i <= 4; i++) {
        _cleanup_free_ char *name = xasprintf("log-%d", i);
        if (strstr(es.excluded, name) != NULL && es.shards[i] > 0) {
            es.shards[i]--;
            es.shards[1]++;
        }
        buffer_printf(&text,
                      "%s{\"node\":\"%s\",\"shards\":\"%ld\",\"disk.indices\":\"%lld\",\"disk.avail\":\"30000000000\","
                      "\"disk.total\":\"100000000000\"}",
                      i > 1 ? "," : "", name, es.shards[i], es.bytes);
    }
    buffer_puts(&text, "]");
    return text.data;
}

static char *answer(const char *url)
{
    if (strcmp(url, "/_cluster/health") == 0) {
        return xasprintf(
            "{\"status\":\"%s\",\"relocating_shards\":0,\"initializing_shards\":0,\"unassigned_shards\":3}", es.status);
    }
    if (strcmp(url, "/_cat/allocation") == 0) {
        return allocation();
    }
    if (strcmp(url, "/_all/_settings") == 0) {
        return xasprintf(
            "{\"logstash-1\":{\"settings\":{\"index.number_of_replicas\":\"%d\"}},\"automatic\":{\"settings\":"
            "{\"index.number_of_replicas\":\"3\",\"index.auto_expand_replicas\":\"0-all\"}}}",
            es.replicas);
    }
    return strcmp(url, "/") == 0 ? xasprintf("{\"version\":{\"number\":\"%s\"%s%s%s}}", es.version,
                                             *es.distribution == '\0' ? "" : ",\"distribution\":\"", es.distribution,
                                             *es.distribution == '\0' ? "" : "\"")
                                 : xstrdup("{\"acknowledged\":true}");
}

static enum MHD_Result add_argument(void *data, enum MHD_ValueKind kind, const char *key, const char *value)
{
    (void)kind;
    buffer_printf(data, "%s%s=%s", ((struct buffer *)data)->len == 0 ? "?" : "&", key, value);
    return MHD_YES;
}

/* False when there is no master. */
static bool take_change(const char *method, const char *url, const char *query, const char *body)
{
    _cleanup_json_ json_t *json = json_loads(body, 0, NULL);
    const char *names = "";
    if ((strcmp(method, "DELETE") == 0 || strstr(body, "null") != NULL) && es.without_master-- > 0) {
        return false;
    }
    (void)json_unpack(json, "{s{s?s}}", "persistent", "cluster.routing.allocation.exclude._name", &names);
    if (strcmp(url, "/_cluster/settings") == 0) {
        (void)snprintf(es.excluded, sizeof es.excluded, "%s", names);
    }
    (void)json_unpack(json, "{s{si}}", "index", "number_of_replicas", &es.replicas);
    buffer_printf(&es.changes, "%s %s%s %s\n", method, url, query, body);
    return true;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **request)
{
    (void)data;
    (void)version;
    if (*request == NULL) {
        *request = xcalloc(1, sizeof(struct buffer));
        return MHD_YES;
    }
    struct buffer *body = *request;
    if (*upload_len > 0) {
        buffer_append(body, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    _cleanup_buffer_ struct buffer query = {0};
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_argument, &query);
    bool good = strcmp(method, "GET") == 0 ||
                take_change(method, url, query.data == NULL ? "" : query.data, body->data == NULL ? "" : body->data);
    char *text = good ? answer(url) : xstrdup("{\"error\":{\"type\":\"master_not_discovered_exception\"}}");
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result =
        MHD_queue_response(connection, good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, response);
    MHD_destroy_response(response);
    buffer_free(body);
    free(body);
    *request = NULL;
    return result;
}

static void must(int result, struct error **err)
{
    if (result < 0) {
        fail_msg("%s", *err == NULL ? "no reason given" : (*err)->message);
    }
}

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    daemon_of_elasticsearch = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, NULL,
                                               MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    _cleanup_error_ struct error *err = NULL;
    if (daemon_of_elasticsearch == NULL || apiserver_start(&server, &err) < 0) {
        print_error("%s\n", err == NULL ? "no HTTP server" : err->message);
        apiserver_stop(&server);
        return -1;
    }
    log_open("test", NULL, NULL, LOG_LEVEL_ERROR);
    conf.paths.opt = path_join(server.root, "opt/kubernetes");
    conf.addons.enabled = true;
    conf.addons.skip = xcalloc(1, sizeof *conf.addons.skip);
    conf.timeouts.drain_s = 120;
    conf.timeouts.api_s = 120;
    run = (struct run){
        .role = &master, .conf = &conf, .root = server.root, .deadline = deadline_in(1500000)}; /* of all tests */
    return apiserver_kube(&server, &run.kube, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    MHD_stop_daemon(daemon_of_elasticsearch);
    facts_freep(&run.facts);
    kube_freep(&run.kube);
    apiserver_stop(&server);
    free(conf.paths.opt);
    strv_free(conf.addons.skip);
    return 0;
}

static void post(const char *path, const char *text)
{
    object_post(run.kube, path, text);
}

static void make_node(const char *name, const char *annotations)
{
    _cleanup_free_ char *text = xasprintf(
        "{\"metadata\": {\"name\": \"%s\", \"annotations\": %s}, \"status\": {\"conditions\": [{\"type\": \"Ready\", "
        "\"status\": \"True\", \"lastTransitionTime\": \"2026-01-01T00:00:00Z\"}]}}",
        name, annotations);
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", name);
    long code = 0;
    (void)kube_delete(run.kube, path, deadline_in(120000), &code, NULL);
    post("/api/v1/nodes", text);
}

/* Four log nodes of which the last two leave, and an Elasticsearch in which all is well. */
static int fresh(void **state)
{
    (void)state;
    static const char *const leaving[] = {"log-3", "log-4"};
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *cluster = cluster_load("three-logs", &err);
    cluster_generate(cluster, "log", 4);
    _cleanup_json_ json_t *view = cluster_view(cluster, "master", 1);
    facts_freep(&run.facts);
    must(facts_load(&run.facts, view, &conf, &err), &err);
    for (size_t i = 0; i < run.facts->n_hosts; i++) {
        struct host *host = &run.facts->hosts[i];
        host->deleting = strcmp(host->node_name, leaving[0]) == 0 || strcmp(host->node_name, leaving[1]) == 0;
    }
    run.facts->n_logs = 2;
    free(run.facts->es_host);
    run.facts->es_host = xstrdup("127.0.0.1");
    run.facts->es_port = (int)MHD_get_daemon_info(daemon_of_elasticsearch, MHD_DAEMON_INFO_BIND_PORT)->port;
    buffer_free(&es.changes);
    memset(&es, 0, sizeof es);
    es.status = "green";
    es.version = "7.10.2";
    es.distribution = "";
    es.shards[3] = 2;
    es.shards[4] = 1;
    es.bytes = 1000000000;
    es.replicas = 3;
    make_node("log-3", "{}");
    make_node("log-4", "{}");
    return 0;
}

static bool there(const char *name)
{
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", name);
    _cleanup_json_ json_t *node = NULL;
    long code = 0;
    bool found = kube_get(run.kube, path, deadline_in(120000), &node, &code, NULL) == 0;
    assert_true(found || code == 404);
    return found;
}

static void shards_replicas_and_votes_leave_before_the_nodes(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    must(step_check_scale_in.apply(&run, &err), &err);
    assert_null(es.changes.data);
    must(step_delete_nodes.apply(&run, &err), &err);
    assert_string_equal(
        es.changes.data,
        "PUT /logstash-1/_settings {\"index\":{\"number_of_replicas\":1}}\n"
        "PUT /_cluster/settings {\"persistent\":{\"cluster.routing.allocation.exclude._name\":\"log-3,log-4\"}}\n"
        "POST /_cluster/voting_config_exclusions?node_names=log-3,log-4 \n"
        "PUT /_cluster/settings {\"persistent\":{\"cluster.routing.allocation.exclude._name\":null}}\n"
        "DELETE /_cluster/voting_config_exclusions?wait_for_removal=false \n");
    assert_int_equal(es.shards[3] + es.shards[4], 0);
    assert_false(there("log-3"));
    assert_false(there("log-4"));
}

/* Else a log node that is added under that name would get no logs. */
static void exclusions_are_taken_back_once_there_is_a_master(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    es.without_master = 2;
    must(step_delete_nodes.apply(&run, &err), &err);
    assert_string_equal(es.excluded, "");
    assert_non_null(strstr(es.changes.data, "DELETE /_cluster/voting_config_exclusions"));
}

static void each_version_gets_the_request_it_supports(void **state)
{
    static const struct {
        const char *version, *distribution, *request;
    } cases[] = {
        {"6.8.23", "", NULL},
        {"7.4.0", "", "POST /_cluster/voting_config_exclusions/log-3,log-4 "},
        {"8.11.1", "", "POST /_cluster/voting_config_exclusions?node_names=log-3,log-4 "},
        {"2.9.0", "opensearch", "POST /_cluster/voting_config_exclusions?node_names=log-3,log-4 "},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_error_ struct error *err = NULL;
        fresh(state);
        es.version = cases[i].version;
        es.distribution = cases[i].distribution;
        must(step_delete_nodes.apply(&run, &err), &err);
        if (cases[i].request == NULL) {
            assert_null(strstr(es.changes.data, "voting"));
        } else {
            assert_non_null(strstr(es.changes.data, cases[i].request));
        }
    }
}

static void the_pre_check_refuses_what_the_others_cannot_take(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    /* Each of the two that stay has 15 GB below the watermark. */
    es.bytes = 16000000000;
    assert_int_equal(step_check_scale_in.apply(&run, &err), -1);
    assert_int_equal(err->status, STATUS_SCALE_IN_LOGS);
    assert_null(es.changes.data);
    assert_true(there("log-3"));
}

static void a_missing_primary_shard_refuses_unless_the_user_gives_it_up(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    es.status = "red";
    assert_int_equal(step_check_scale_in.apply(&run, &err), -1);
    assert_int_equal(err->status, STATUS_DESTROY_DATA);
    error_freep(&err);
    err = NULL;
    make_node("log-3", "{\"" DISCARD_ANNOTATION "\": \"true\"}");
    assert_int_equal(step_check_scale_in.apply(&run, &err), -1);
    error_freep(&err);
    err = NULL;
    make_node("log-4", "{\"" DISCARD_ANNOTATION "\": \"true\"}");
    must(step_check_scale_in.apply(&run, &err), &err);
}

/* A pod that runs on log-3 and has LABEL, and a budget over it that lets none be evicted. */
static void make_guarded_pod(const char *name, const char *label)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *pod = xasprintf(
        "{\"metadata\": {\"name\": \"%s\", \"labels\": {\"k8s-app\": \"%s\"}}, \"spec\": {\"nodeName\": \"log-3\", "
        "\"automountServiceAccountToken\": false, \"containers\": [{\"name\": \"c\", \"image\": \"busybox\"}]}}",
        name, label);
    _cleanup_free_ char *budget =
        xasprintf("{\"metadata\": {\"name\": \"%s\"}, \"spec\": {\"maxUnavailable\": 0, \"selector\": "
                  "{\"matchLabels\": {\"k8s-app\": \"%s\"}}}}",
                  name, label);
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/kube-system/pods/%s/status", name);
    _cleanup_json_ json_t *running = json_pack("{s{ss}}", "status", "phase", "Running");
    post("/apis/policy/v1beta1/namespaces/kube-system/poddisruptionbudgets", budget);
    post("/api/v1/namespaces/kube-system/pods", pod);
    must(kube_merge_patch(run.kube, path, running, deadline_in(120000), &err), &err);
}

static void the_budget_of_our_elasticsearch_counts_while_some_of_it_stays(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    post("/api/v1/namespaces/kube-system/serviceaccounts", "{\"metadata\": {\"name\": \"default\"}}");
    make_guarded_pod("elasticsearch-logging-2", "elasticsearch-logging");
    assert_int_equal(step_check_scale_in.apply(&run, &err), -1);
    assert_int_equal(err->status, STATUS_SCALE_IN_BUDGET);
    error_freep(&err);
    err = NULL;
    for (size_t i = 0; i < run.facts->n_hosts; i++) {
        run.facts->hosts[i].deleting = run.facts->hosts[i].is->log;
    }
    run.facts->n_logs = 0;
    must(step_check_scale_in.apply(&run, &err), &err);
    /* a user's pod has its own budget all the same */
    make_guarded_pod("kept", "kept");
    assert_int_equal(step_check_scale_in.apply(&run, &err), -1);
    assert_int_equal(err->status, STATUS_SCALE_IN_BUDGET);
    assert_non_null(strstr(err->message, "kube-system/kept"));
}

static void what_was_changed_is_changed_back_when_a_node_cannot_be_drained(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    free(conf.paths.opt);
    conf.paths.opt = path_join(server.root, "drain-fails");
    _cleanup_free_ char *bin = path_join(conf.paths.opt, "bin/kubectl");
    static const char text[] = "#!/bin/sh\ncase \"$*\" in drain*) exit 1;; esac\n";
    const struct file_spec spec = {.path = bin, .data = text, .len = strlen(text), .mode = 0755};
    must(file_put(&spec, NULL, &err), &err);
    assert_int_equal(step_delete_nodes.apply(&run, &err), -1);
    assert_int_equal(err->status, STATUS_SCALE_IN_DRAIN);
    assert_string_equal(es.excluded, "");
    assert_int_equal(es.replicas, 3);
    assert_true(there("log-3"));
    free(conf.paths.opt);
    conf.paths.opt = path_join(server.root, "opt/kubernetes");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(shards_replicas_and_votes_leave_before_the_nodes, fresh),
        cmocka_unit_test_setup(exclusions_are_taken_back_once_there_is_a_master, fresh),
        cmocka_unit_test_setup(each_version_gets_the_request_it_supports, fresh),
        cmocka_unit_test_setup(the_pre_check_refuses_what_the_others_cannot_take, fresh),
        cmocka_unit_test_setup(a_missing_primary_shard_refuses_unless_the_user_gives_it_up, fresh),
        cmocka_unit_test_setup(what_was_changed_is_changed_back_when_a_node_cannot_be_drained, fresh),
        cmocka_unit_test_setup(the_budget_of_our_elasticsearch_counts_while_some_of_it_stays, fresh),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
