#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "app/metadata/meta.h"
#include "hooks/checks/checks.h"
#include "hooks/clients/elasticsearch.h"
#include "hooks/clients/pods.h"
#include "hooks/events/events.h"
#include "lib/core/json.h"
#include "lib/system/proc.h"
#include "tests/lab/shared/metad.h"

static char directory[] = "/tmp/check_test.XXXXXX";

static struct conf conf;
static struct facts facts;
static void write_role_conf(const char *text)
{
    _cleanup_free_ char *path = xasprintf("%s/node.conf", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    conf.paths.roles = directory;
    conf.paths.data = directory;
    conf.addons.enabled = true;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return proc_exec(deadline_in(300000), NULL, "rm", "-rf", directory, NULL);
}

static void probe_good(const struct check_context *context, struct finding *finding)
{
    finding_ok(finding, "limits %ld and %ld", context->limits.warn, context->limits.fail);
}

static void probe_bad(const struct check_context *context, struct finding *finding)
{
    (void)context;
    finding_fails(finding, "repair it", "first line\nsecond line");
}

/* Ends when the test closes the pipe: a check that hangs for as long as it is wanted to. */
static int gate[2];

static void probe_hanging(const struct check_context *context, struct finding *finding)
{
    (void)context;
    char byte = 0;
    (void)!read(gate[0], &byte, 1);
    finding_ok(finding, "too late");
}

static const struct check good = {.name = "good", .limits = {.warn = 1, .fail = 2}, .probe = probe_good};
static const struct check bad = {.name = "bad", .severity = FAILS, .probe = probe_bad};
static const struct check mild = {.name = "mild", .severity = WARNS, .probe = probe_bad};
static const struct check hanging = {.name = "hanging", .severity = FAILS, .probe = probe_hanging};

static const struct check *const role_checks[] = {&good, &bad, &mild, &hanging, NULL};
static const struct role role = {.name = "node", .checks = role_checks};
static const struct run run = {.role = &role, .root = "", .conf = &conf, .facts = &facts};

static struct check_results *run_all(const struct check *const *checks, int64_t ms)
{
    struct check_results *results = NULL;
    assert_int_equal(checks_run(&run, checks, deadline_in(ms), &results, NULL), 0);
    return results;
}

static void results_keep_the_order_of_the_table(void **state)
{
    (void)state;
    write_role_conf("");
    const struct check *const checks[] = {&good, &bad, &mild, NULL};
    _cleanup_(check_results_freep) struct check_results *results = run_all(checks, 60000);
    assert_int_equal(results->n, 3);
    assert_ptr_equal(results->of[0].check, &good);
    assert_int_equal(results->of[0].finding.verdict, VERDICT_OK);
    assert_string_equal(results->of[0].finding.reason, "limits 1 and 2");
    assert_int_equal(results->of[1].finding.verdict, VERDICT_FAILS);
    assert_string_equal(results->of[1].finding.reason, "first line second line");
    assert_string_equal(results->of[1].finding.remedy, "repair it");
    assert_false(checks_healthy(results));
}

static void a_check_that_warns_never_makes_the_host_unhealthy(void **state)
{
    (void)state;
    write_role_conf("");
    const struct check *const checks[] = {&mild, NULL};
    _cleanup_(check_results_freep) struct check_results *results = run_all(checks, 60000);
    assert_int_equal(results->of[0].finding.verdict, VERDICT_WARNS);
    assert_true(checks_healthy(results));
}

static void a_hanging_check_fails_alone(void **state)
{
    (void)state;
    write_role_conf("");
    assert_int_equal(pipe(gate), 0);
    const struct check *const checks[] = {&hanging, &good, NULL};
    /* by then the good one is done, also on a loaded machine */
    _cleanup_(check_results_freep) struct check_results *results = run_all(checks, 5000);
    assert_int_equal(results->of[0].finding.verdict, VERDICT_FAILS);
    assert_string_equal(results->of[0].finding.reason, "no result in time");
    assert_int_equal(results->of[1].finding.verdict, VERDICT_OK);
    close(gate[1]);
}

static void the_roles_file_sets_limits_and_switches_off(void **state)
{
    (void)state;
    write_role_conf("check \"good\" { warn = 70 }\ncheck \"bad\" { enabled = false }\n");
    const struct check *const checks[] = {&good, &bad, NULL};
    _cleanup_(check_results_freep) struct check_results *results = run_all(checks, 60000);
    assert_int_equal(results->n, 1);
    assert_string_equal(results->of[0].finding.reason, "limits 70 and 2");
}

static void an_unknown_check_in_the_role_file_is_an_error(void **state)
{
    (void)state;
    write_role_conf("check \"godo\" { warn = 70 }\n");
    const struct check *const checks[] = {&good, NULL};
    _cleanup_error_ struct error *err = NULL;
    struct check_results *results = NULL;
    assert_int_equal(checks_run(&run, checks, deadline_in(60000), &results, &err), -1);
    assert_int_equal(err->status, STATUS_CONFIG);
    assert_non_null(strstr(err->message, "\"godo\""));
}

static void the_json_form_has_the_same_fields(void **state)
{
    (void)state;
    write_role_conf("");
    const struct check *const checks[] = {&good, &bad, NULL};
    _cleanup_(check_results_freep) struct check_results *results = run_all(checks, 60000);
    _cleanup_json_ json_t *json = check_results_json(results);
    assert_true(json_is_false(json_object_get(json, "healthy")));
    const json_t *first = json_array_get(json_object_get(json, "checks"), 0);
    const json_t *second = json_array_get(json_object_get(json, "checks"), 1);
    assert_string_equal(json_text(first, "name"), "good");
    assert_string_equal(json_text(first, "result"), "ok");
    assert_true(json_is_null(json_object_get(first, "remedy")));
    assert_string_equal(json_text(second, "result"), "fails");
    assert_string_equal(json_text(second, "reason"), "first line second line");
    assert_string_equal(json_text(second, "remedy"), "repair it");
    assert_true(json_is_integer(json_object_get(second, "ms")));
}

static enum verdict verdict_of(const struct check *check, long warn, long fail)
{
    struct finding finding = {0};
    const struct check_context context = {&run, {warn, fail}, deadline_in(120000), NULL};
    check->probe(&context, &finding);
    assert_non_null(finding.reason);
    free(finding.reason);
    return finding.verdict;
}

static void disk_use_is_compared_with_both_limits(void **state)
{
    (void)state;
    static const struct check *const checks[] = {&check_data_space, &check_data_inodes};
    for (size_t i = 0; i < ELEMENTS(checks); i++) {
        assert_int_equal(verdict_of(checks[i], 101, 101), VERDICT_OK);
        assert_int_equal(verdict_of(checks[i], 0, 101), VERDICT_WARNS);
        assert_int_equal(verdict_of(checks[i], 0, 0), VERDICT_FAILS);
    }
    static char absent[] = "/no/such/volume";
    conf.paths.data = absent;
    assert_int_equal(verdict_of(&check_data_space, 85, 95), VERDICT_FAILS);
    conf.paths.data = directory;
}

static void the_hostnic_check_uses_the_recorded_answer_only(void **state)
{
    (void)state;
    _cleanup_free_ char *path = xasprintf("%s/cloud.json", directory);
    conf.paths.state = directory;
    facts.network = NETWORK_FLANNEL;
    assert_int_equal(verdict_of(&check_hostnic, 0, 0), VERDICT_OK);
    facts.network = NETWORK_HOSTNIC;
    assert_int_equal(verdict_of(&check_hostnic, 0, 0), VERDICT_WARNS);
    _cleanup_json_ json_t *good_answer = json_pack("{si ss sI}", "status", 0, "message", "", "time", (json_int_t)1);
    assert_int_equal(json_dump_file(good_answer, path, 0), 0);
    assert_int_equal(verdict_of(&check_hostnic, 0, 0), VERDICT_OK);
    _cleanup_json_ json_t *refused =
        json_pack("{si ss sI}", "status", 111, "message", "refused", "time", (json_int_t)1);
    assert_int_equal(json_dump_file(refused, path, 0), 0);
    assert_int_equal(verdict_of(&check_hostnic, 0, 0), VERDICT_FAILS);
}

#define IP_POOLS "/apis/network.qingcloud.com/v1alpha1/ippools"

static const char *server_says;

/* What was reported, and where. */
static struct {
    char method[8], url[160];
    struct buffer body;
} reported;

static enum MHD_Result answer(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_len, void **request)
{
    (void)data;
    (void)version;
    if (*request == NULL) {
        *request = &reported;
        return MHD_YES;
    }
    if (*upload_len > 0) {
        buffer_append(&reported.body, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    (void)snprintf(reported.method, sizeof reported.method, "%s", method);
    (void)snprintf(reported.url, sizeof reported.url, "%s", url);
    unsigned code =
        strcmp(url, "/_cluster/health") == 0 || strcmp(url, IP_POOLS) == 0 || strcmp(method, "PUT") == 0 ? 200 : 404;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(server_says), xstrdup(server_says), MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static struct MHD_Daemon *serve(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *server = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer, NULL,
                                                 MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    assert_non_null(server);
    return server;
}

static unsigned port_of(struct MHD_Daemon *server)
{
    return MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port;
}

/* What the check finds when hostnic's IPPools are these. */
static struct finding addresses_of(const char *pools)
{
    static char first[] = "vxnet-pods01";
    static char second[] = "vxnet-pods02";
    char *vxnets[] = {first, second, NULL};
    struct facts of_hostnic = {.parameters.pod_vxnets = vxnets};
    struct finding finding = {0};
    int64_t left = 0;
    int64_t all = 0;
    server_says = pools;
    struct MHD_Daemon *server = serve();
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u", port_of(server));
    struct kube *kube = NULL;
    assert_int_equal(kube_open(&kube, url, NULL, NULL), 0);
    assert_int_equal(pod_addresses_left(kube, &of_hostnic, deadline_in(30000), &left, &all, NULL), 0);
    kube_free(kube);
    MHD_stop_daemon(server);
    pod_addresses_find(left, all, 1, &finding);
    return finding;
}

#define POOL(name, allocations, unallocated)                                                                           \
    "{\"metadata\": {\"name\": \"" name                                                                                \
    "\"}, \"status\": {\"capacity\": 256, \"reserved\": 15, \"allocations\": " allocations                             \
    ", \"unallocated\": " unallocated "}}"

static void fewer_than_thirty_pod_addresses_are_a_warning(void **state)
{
    (void)state;
    struct finding finding =
        addresses_of("{\"items\": [" POOL("vxnet-pods01", "230", "11") ", " POOL("vxnet-pods02", "222", "19") "]}");
    assert_int_equal(finding.verdict, VERDICT_OK);
    assert_string_equal(finding.reason,
                        "the cloud API accepted the settings 1 minutes ago, 30 of 482 pod addresses are left");
    free(finding.reason);
    /* those of other vxnets are not for these pods */
    finding = addresses_of("{\"items\": [" POOL("vxnet-pods01", "231", "10") ", " POOL(
        "vxnet-pods02", "222", "19") ", " POOL("vxnet-other", "0", "241") "]}");
    assert_int_equal(finding.verdict, VERDICT_WARNS);
    assert_string_equal(finding.reason, "29 of 482 pod addresses are left");
    assert_string_equal(finding.remedy, "add a vxnet to pod_vxnets; none can be removed later");
    free(finding.reason);
    finding = addresses_of("{\"items\": []}");
    assert_int_equal(finding.verdict, VERDICT_WARNS);
    assert_string_equal(finding.reason, "hostnic has no addresses for pods yet");
    free(finding.reason);
}

/* Runs the event and gives what it prints: TAP has the real standard output. */
static char *printed(struct run *event_run, int expected, int status)
{
    _cleanup_free_ char *path = xasprintf("%s/output", directory);
    _cleanup_error_ struct error *err = NULL;
    (void)fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    FILE *file = fopen(path, "w+");
    assert_non_null(file);
    assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
    int r = event_check(event_run, &err);
    (void)fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    assert_int_equal(r, expected);
    assert_int_equal(err == NULL ? STATUS_OK : err->status, status);
    rewind(file);
    char *text = xcalloc(4096, 1);
    assert_true(fread(text, 1, 4095, file) > 0);
    assert_int_equal(fclose(file), 0);
    return text;
}

static const struct check *const healthy_checks[] = {&good, &mild, NULL};
static const struct role healthy_role = {.name = "node", .checks = healthy_checks};
static const struct check *const sick_checks[] = {&bad, &good, NULL};
static const struct role sick_role = {.name = "node", .checks = sick_checks};

static void each_check_has_its_line(void **state)
{
    (void)state;
    write_role_conf("");
    struct run event_run = {
        .role = &sick_role, .root = "", .conf = &conf, .facts = &facts, .deadline = deadline_in(60000)};
    _cleanup_free_ char *text = printed(&event_run, -1, STATUS_UNHEALTHY);
    assert_string_equal(text, "fails bad: first line second line; repair it\nok    good: limits 1 and 2\n");
    event_run.role = &healthy_role;
    event_run.json = true;
    _cleanup_free_ char *json = printed(&event_run, 0, STATUS_OK);
    _cleanup_json_ json_t *parsed = json_loads(json, 0, NULL);
    assert_true(json_is_true(json_object_get(parsed, "healthy")));
}

static void the_result_is_the_same_when_it_cannot_be_reported(void **state)
{
    (void)state;
    write_role_conf("");
    static char id[] = "cl-1";
    static char instance[] = "i-1";
    static char role_name[] = "ssd_node";
    struct host self = {.role = role_name, .instance_id = instance};
    struct run event_run = {
        .role = &healthy_role, .root = "", .conf = &conf, .facts = &facts, .deadline = deadline_in(60000)};
    facts.self = &self;
    facts.cluster.id = id;
    server_says = "OK";
    struct MHD_Daemon *server = serve();
    conf.report.url = xasprintf("http://127.0.0.1:%u", port_of(server));
    free(printed(&event_run, 0, STATUS_OK));
    assert_string_equal(reported.method, "PUT");
    assert_string_equal(reported.url, "/v1/data/clusters/cl-1/hosts/ssd_node/i-1/health");
    _cleanup_json_ json_t *body = json_loads(reported.body.data, 0, NULL);
    _cleanup_json_ json_t *expected = json_pack("{s:s, s:s}", "status", "healthy", "reason", "");
    assert_true(json_equal(body, expected));
    MHD_stop_daemon(server);
    free(printed(&event_run, 0, STATUS_OK));
    event_run.role = &sick_role;
    free(printed(&event_run, -1, STATUS_UNHEALTHY));
    free(STEAL(conf.report.url));
    facts.self = NULL;
    buffer_free(&reported.body);
}

static void elasticsearch_is_as_its_colour(void **state)
{
    (void)state;
    struct MHD_Daemon *server = serve();
    static char loopback[] = "127.0.0.1";
    facts.es_host = loopback;
    facts.es_port = (int)port_of(server);
    server_says = "{\"status\":\"green\"}";
    assert_int_equal(verdict_of(&check_elasticsearch, 0, 0), VERDICT_OK);
    server_says = "{\"status\":\"yellow\",\"unassigned_shards\":3}";
    assert_int_equal(verdict_of(&check_elasticsearch, 0, 0), VERDICT_WARNS);
    server_says = "{\"status\":\"red\",\"unassigned_shards\":3}";
    assert_int_equal(verdict_of(&check_elasticsearch, 0, 0), VERDICT_FAILS);
    server_says = "not JSON";
    assert_int_equal(verdict_of(&check_elasticsearch, 0, 0), VERDICT_FAILS);
    MHD_stop_daemon(server);
    assert_int_equal(verdict_of(&check_elasticsearch, 0, 0), VERDICT_FAILS);
    strv_push(&conf.addons.skip, "elasticsearch");
    assert_int_equal(verdict_of(&check_elasticsearch, 0, 0), VERDICT_OK);
    strv_free(STEAL(conf.addons.skip));
}

/* A reason of 400 bytes that ends in the middle of a character, and holds a byte that is none. */
static void probe_foreign(const struct check_context *context, struct finding *finding)
{
    (void)context;
    char text[500] = "\xff";
    for (size_t i = 1; i + 3 < sizeof text; i += 3) {
        memcpy(text + i, "\xe5\x85\x83", 4);
    }
    finding_fails(finding, "repair it", "%s", text);
}

static const struct check foreign = {.name = "foreign", .severity = FAILS, .probe = probe_foreign};
static const struct check *const foreign_checks[] = {&good, &foreign, &bad, NULL};
static const struct role foreign_role = {.name = "node", .checks = foreign_checks};

static void a_reason_that_is_not_utf8_is_not_lost(void **state)
{
    (void)state;
    write_role_conf("");
    struct run event_run = {.role = &foreign_role, .root = "", .conf = &conf, .facts = &facts, .json = true};
    event_run.deadline = deadline_in(60000);
    _cleanup_free_ char *text = printed(&event_run, -1, STATUS_UNHEALTHY);
    _cleanup_json_ json_t *health = json_loads(text, 0, NULL);
    const json_t *second = json_array_get(json_object_get(health, "checks"), 1);
    assert_int_equal(json_array_size(json_object_get(health, "checks")), 3);
    assert_string_equal(json_text(second, "name"), "foreign");
    assert_true(str_starts(json_text(second, "reason"), "?\xe5\x85\x83"));
    assert_true(str_ends(json_text(second, "reason"), "..."));
}

/* The metadata server merges what it is given into what it has; every host reads the reports of all. */
static void a_report_leaves_nothing_of_the_one_before(void **state)
{
    (void)state;
    _cleanup_metad_ struct metad *metad = NULL;
    _cleanup_(check_results_freep) struct check_results *sick = run_all(foreign_checks, 60000);
    _cleanup_(check_results_freep) struct check_results *healthy = run_all(healthy_checks, 60000);
    assert_int_equal(metad_start(&metad, "127.0.0.1", 0, "127.0.0.1", 0, NULL), 0);
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u", metad_manage_port(metad));
    const struct check_results *const order[] = {sick, healthy};
    for (size_t i = 0; i < ELEMENTS(order); i++) {
        _cleanup_json_ json_t *report = check_results_report(order[i]);
        _cleanup_free_ char *text = json_dumps(report, JSON_COMPACT);
        assert_true(strlen(text) < 256);
        assert_int_equal(meta_report(url, "cl-1", "node", "i-1", report, deadline_in(30000), NULL), 0);
        _cleanup_json_ json_t *kept = metad_get(metad, "/clusters/cl-1/hosts/node/i-1/health");
        assert_true(json_equal(kept, report));
        assert_string_equal(json_text(kept, "status"), i == 0 ? "unhealthy" : "healthy");
    }
}

static void a_dry_run_reports_nothing(void **state)
{
    (void)state;
    _cleanup_metad_ struct metad *metad = NULL;
    static char names[][8] = {"node", "i-1", "cl-1"};
    struct host self = {.role = names[0], .instance_id = names[1]};
    struct facts of_host = {.self = &self, .cluster.id = names[2]};
    struct run event_run = {.role = &foreign_role, .root = "", .conf = &conf, .facts = &of_host, .dry_run = true};
    event_run.deadline = deadline_in(60000);
    assert_int_equal(metad_start(&metad, "127.0.0.1", 0, "127.0.0.1", 0, NULL), 0);
    conf.report.url = xasprintf("http://127.0.0.1:%u", metad_manage_port(metad));
    for (int round = 0; round < 2; round++, event_run.dry_run = false) {
        _cleanup_free_ char *text = printed(&event_run, -1, STATUS_UNHEALTHY);
        _cleanup_json_ json_t *kept = metad_get(metad, "/clusters/cl-1/hosts/node/i-1/health");
        assert_int_equal(kept != NULL, round == 1);
    }
    free(STEAL(conf.report.url));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_keep_the_order_of_the_table),
        cmocka_unit_test(a_check_that_warns_never_makes_the_host_unhealthy),
        cmocka_unit_test(a_hanging_check_fails_alone),
        cmocka_unit_test(the_roles_file_sets_limits_and_switches_off),
        cmocka_unit_test(an_unknown_check_in_the_role_file_is_an_error),
        cmocka_unit_test(the_json_form_has_the_same_fields),
        cmocka_unit_test(disk_use_is_compared_with_both_limits),
        cmocka_unit_test(the_hostnic_check_uses_the_recorded_answer_only),
        cmocka_unit_test(fewer_than_thirty_pod_addresses_are_a_warning),
        cmocka_unit_test(each_check_has_its_line),
        cmocka_unit_test(a_reason_that_is_not_utf8_is_not_lost),
        cmocka_unit_test(a_dry_run_reports_nothing),
        cmocka_unit_test(a_report_leaves_nothing_of_the_one_before),
        cmocka_unit_test(the_result_is_the_same_when_it_cannot_be_reported),
        cmocka_unit_test(elasticsearch_is_as_its_colour),
    };
    return cmocka_run_group_tests_name("check", tests, set_up, tear_down);
}
