/* What an Elasticsearch outside the cluster says of itself, and what add-ons are given for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "hooks/clients/elasticsearch_release.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

static char directory[] = "/tmp/elasticsearch_release_test.XXXXXX";
static struct MHD_Daemon *daemon_;
static const char *version; /* the member of that name in what GET / answers */

static struct conf conf;
static struct facts facts = {.log_target = LOG_ES_SERVER};
static const struct role master = {.name = "master", .state = "/state", .control_plane = true};
static struct run run = {.role = &master, .conf = &conf, .facts = &facts, .root = directory};

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *protocol, const char *body, size_t *len, void **request)
{
    (void)context, (void)protocol, (void)body, (void)len, (void)request;
    _cleanup_free_ char *text = xasprintf("{\"name\": \"es\", \"version\": %s}", version);
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
    bool known = strcmp(url, "/") == 0 && strcmp(method, "GET") == 0;
    enum MHD_Result result = MHD_queue_response(connection, known ? 200 : 404, response);
    MHD_destroy_response(response);
    return result;
}

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    daemon_ = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer, NULL, MHD_OPTION_SOCK_ADDR,
                               &address, MHD_OPTION_END);
    if (daemon_ == NULL || mkdtemp(directory) == NULL) {
        return -1;
    }
    facts.es_host = xstrdup("127.0.0.1");
    facts.es_port = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_BIND_PORT)->port;
    facts.versions = json_pack("{s:{s:s}}", "images", "kibana", "docker.elastic.co/kibana/kibana-oss:7.10.2");
    run.deadline = deadline_in(600000);
    _cleanup_free_ char *place = path_join(directory, "state");
    return proc_exec(deadline_in(300000), NULL, "mkdir", place, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    MHD_stop_daemon(daemon_);
    json_decref(facts.versions);
    free(facts.es_host);
    return proc_exec(deadline_in(300000), NULL, "rm", "-rf", directory, NULL);
}

static void assert_described(bool typeless, const char *type, bool kibana)
{
    _cleanup_json_ json_t *context =
        json_pack("{s:{s:b, s:s, s:b}}", "logging", "typeless", 1, "type", "_doc", "kibana", 1);
    elasticsearch_describe(&run, context);
    const json_t *logging = json_object_get(context, "logging");
    assert_int_equal(json_is_true(json_object_get(logging, "typeless")), typeless);
    assert_int_equal(json_is_true(json_object_get(logging, "kibana")), kibana);
    assert_true(typeless || strcmp(json_text(logging, "type"), type) == 0);
}

static void test_releases(void **state)
{
    (void)state;
    static const struct {
        const char *version, *type;
        bool typeless, kibana;
    } releases[] = {
        {"{\"number\": \"5.6.16\"}", "doc", false, false},
        {"{\"number\": \"6.8.23\"}", "_doc", false, false},
        {"{\"number\": \"7.9.3\"}", NULL, true, false},
        {"{\"number\": \"7.10.2\"}", NULL, true, true},
        {"{\"number\": \"7.17.9\"}", NULL, true, true},
        {"{\"number\": \"8.11.3\"}", NULL, true, false},
        {"{\"number\": \"1.3.9\", \"distribution\": \"opensearch\"}", NULL, true, false},
        {"{\"number\": \"2.11.0\", \"distribution\": \"opensearch\"}", NULL, true, false},
        {"{\"number\": \"7.10.2\", \"distribution\": \"opensearch\"}", NULL, true, true},
    };
    for (size_t i = 0; i < ELEMENTS(releases); i++) {
        version = releases[i].version;
        elasticsearch_find_release(&run);
        assert_described(releases[i].typeless, releases[i].type, releases[i].kibana);
    }
}

/* What is logged when an Elasticsearch of the release OF is found for the first time. The caller frees. */
static char *find_logged(const char *of)
{
    _cleanup_free_ char *path = path_join(directory, "logged");
    _cleanup_free_ char *record = path_join(directory, "state/elasticsearch.json");
    char *text = NULL;
    assert_int_equal(file_remove(record, NULL, NULL), 0);
    int before = dup(STDERR_FILENO);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(before >= 0 && fd >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    log_open("test", NULL, NULL, LOG_LEVEL_INFO);
    version = of;
    elasticsearch_find_release(&run);
    (void)fflush(stderr);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    (void)close(before);
    (void)close(fd);
    assert_int_equal(file_read(path, 0, &text, NULL, NULL), 0);
    return text;
}

static void test_leaving_kibana_out_is_warned_of(void **state)
{
    (void)state;
    static const struct {
        const char *version, *named;
    } refused[] = {
        {"{\"number\": \"8.11.3\"}", "Elasticsearch 8.11"},
        {"{\"number\": \"2.11.0\", \"distribution\": \"opensearch\"}", "OpenSearch 2.11"},
    };
    for (size_t i = 0; i < ELEMENTS(refused); i++) {
        _cleanup_free_ char *logged = find_logged(refused[i].version);
        _cleanup_free_ char *wanted =
            xasprintf("warning: %s at 127.0.0.1:%d: Kibana 7.10 refuses it and is not installed: use one of that "
                      "version, as the ELK app brings; logs are written there all the same\n",
                      refused[i].named, facts.es_port);
        assert_string_equal(logged, wanted);
    }
    _cleanup_free_ char *none = find_logged("{\"number\": \"7.17.9\"}");
    assert_string_equal(none, "");
}

static void test_record_outlives_an_outage(void **state)
{
    (void)state;
    version = "{\"number\": \"5.6.16\"}";
    elasticsearch_find_release(&run);
    version = "\"none\"";
    elasticsearch_find_release(&run);
    assert_described(false, "doc", false);
}

static void test_record_is_of_one_address(void **state)
{
    (void)state;
    version = "{\"number\": \"5.6.16\"}";
    elasticsearch_find_release(&run);
    free(facts.es_host);
    facts.es_host = xstrdup("127.0.0.2");
    assert_described(true, NULL, true);
    free(facts.es_host);
    facts.es_host = xstrdup("127.0.0.1");
}

static void test_dry_run_records_nothing(void **state)
{
    (void)state;
    version = "{\"number\": \"7.17.9\"}";
    elasticsearch_find_release(&run);
    version = "{\"number\": \"5.6.16\"}";
    run.dry_run = true;
    elasticsearch_find_release(&run);
    run.dry_run = false;
    assert_described(true, NULL, true);
}

static void test_log_nodes_are_not_queried(void **state)
{
    (void)state;
    version = "{\"number\": \"5.6.16\"}";
    elasticsearch_find_release(&run);
    facts.log_target = LOG_NODES;
    assert_described(true, NULL, true);
    facts.log_target = LOG_ES_SERVER;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_releases),
        cmocka_unit_test(test_leaving_kibana_out_is_warned_of),
        cmocka_unit_test(test_record_outlives_an_outage),
        cmocka_unit_test(test_record_is_of_one_address),
        cmocka_unit_test(test_dry_run_records_nothing),
        cmocka_unit_test(test_log_nodes_are_not_queried),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
