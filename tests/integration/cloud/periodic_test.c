/* What AppCenter, systemd and Prometheus run every minute or so makes no call of the cloud's API: the user's quota is
 * 2000 calls an hour. The programs run as they are, with a cloud that counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libgen.h>
#include <string.h>
#include <unistd.h>

#include "app/cloud/cloud.h"
#include "app/facts/facts.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/shared/cloudapi.h"
#include "tests/lab/shared/cluster.h"

#define KEY "ABCDEFGHIJKLMNOPQRST"
#define SECRET "0123456789abcdefghijABCDEFGHIJ0123456789"

static char directory[] = "/tmp/periodic_test.XXXXXX";
static char programs[4096];
static struct cloudapi *api;
static json_t *tree;

static char *path_of(const char *name)
{
    return path_join(directory, name);
}

static void put(const char *name, const char *text)
{
    _cleanup_free_ char *path = path_of(name);
    assert_int_equal(file_put_private(path, text, NULL), 0);
}

static int set_up(void **state)
{
    (void)state;
    char self[4096] = "";
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    (void)snprintf(programs, sizeof programs, "%s/../../../bin", dirname(self));
    _cleanup_json_ json_t *data = json_pack("{s:{s:s}, s:[s], s:[{s:s}]}", "keys", KEY, SECRET, "zones", "pek3a",
                                            "instances", "instance_id", "i-mas00001");
    if (mkdtemp(directory) == NULL || cloudapi_start(&api, "127.0.0.1", 0, data, NULL) < 0) {
        return -1;
    }
    _cleanup_free_ char *port = xasprintf("%u", cloudapi_port(api));
    tree = cluster_load("hostnic", NULL);
    json_object_set_new(json_object_get(tree, "cluster"), "api_server",
                        json_pack("{s:s, s:s, s:s}", "host", "127.0.0.1", "port", port, "protocol", "http"));
    _cleanup_free_ char *conf =
        xasprintf("paths {\n    state = \"%s/state\"\n    data = \"%s/data\"\n}\n", directory, directory);
    put("hook.conf", conf);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cloudapi_stop(api);
    json_decref(tree);
    return proc_exec(deadline_in(120000), NULL, "rm", "-rf", directory, NULL);
}

/* The exit status is that of a host without a cluster, and does not matter here; that it ran does. */
static void run_event(const char *role, const char *const *words)
{
    _cleanup_json_ json_t *view = cluster_view(tree, role, 1);
    _cleanup_free_ char *text = json_dumps(view, 0);
    _cleanup_free_ char *program = xasprintf("%s/k8s-%s", programs, role);
    _cleanup_free_ char *conf = path_of("hook.conf");
    _cleanup_free_ char *metadata = path_of("metadata.json");
    _cleanup_proc_ struct proc_result result = {0};
    put("metadata.json", text);
    const char *argv[12] = {program, "--config", conf, "--metadata", metadata};
    for (size_t i = 0; words[i] != NULL; i++) {
        argv[i + 5] = words[i];
    }
    const struct proc proc = {.argv = argv, .deadline = deadline_in(300000)};
    (void)proc_run(&proc, &result, NULL);
    if (result.status == STATUS_USAGE || result.status == STATUS_CONFIG || result.status > 200) {
        fail_msg("%s %s: exit status %d: %s", role, words[0], result.status, result.tail);
    }
}

static void assert_no_call(void)
{
    static const char *const roles[] = {"master", "node", "log"};
    static const char *const events[][3] = {
        {"check"},
        {"monitor"},
        {"revive", "--dry-run"},
        {"tab", "nodes"},
        {"tab", "components"},
        {"reconcile", "--dry-run"},
        {"status"},
        {"facts"},
    };
    unsigned before = cloudapi_requests(api);
    for (size_t r = 0; r < ELEMENTS(roles); r++) {
        for (size_t e = 0; e < ELEMENTS(events); e++) {
            run_event(roles[r], events[e]);
            if (cloudapi_requests(api) != before) {
                fail_msg("k8s-%s %s calls the cloud's API", roles[r], events[e][0]);
            }
        }
    }
}

/* The cloud that the metadata names is there: a call with what they hold is counted. */
static void assert_counted(void)
{
    _cleanup_json_ json_t *view = cluster_view(tree, "master", 1);
    _cleanup_(facts_freep) struct facts *facts = NULL;
    _cleanup_(cloud_freep) struct cloud *cloud = NULL;
    _cleanup_json_ json_t *answer = NULL;
    assert_int_equal(facts_load(&facts, view, NULL, NULL), 0);
    const struct cloud_account account = cloud_account_of(facts);
    unsigned before = cloudapi_requests(api);
    assert_int_equal(cloud_open(&cloud, &account, NULL), 0);
    assert_int_equal(cloud_call(cloud, "DescribeVxnets", NULL, 0, deadline_in(120000), &answer, NULL), 0);
    assert_int_equal(cloudapi_requests(api), before + 1);
}

static void periodic_events_call_nothing(void **state)
{
    (void)state;
    assert_counted();
    assert_no_call();
}

static void nor_do_they_after_the_cloud_refused(void **state)
{
    (void)state;
    put("state/cloud.json", "{\"status\": 110, \"message\": \"refused\", \"time\": 1, \"inputs\": \"\"}");
    assert_no_call();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(periodic_events_call_nothing),
                                       cmocka_unit_test(nor_do_they_after_the_cloud_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
