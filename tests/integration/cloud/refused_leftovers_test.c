/* What a cluster that is deleted left in the cloud, against a cloud API that refuses and is slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "app/cloud/cloud.h"
#include "app/facts/facts.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"
#include "tests/integration/cloud/account.h"
#include "tests/lab/shared/cloudapi.h"

enum { WAIT_MS = 120000 };

static const struct role master = {.name = "master", .state = "/state", .control_plane = true};
static char root[] = "/tmp/leftovers-XXXXXX";
static struct conf conf;
static struct cloudapi *api;
static struct cloud *cloud;
static struct host hosts[] = {{.role = (char *)"node", .instance_id = (char *)"i-nod00001"}};
static struct facts facts = CLOUD_FACTS(hosts);

static void set_faults(json_t *faults)
{
    json_object_set_new(faults, "job_ms", json_integer(0));
    cloudapi_faults(api, faults);
    json_decref(faults);
}

static int set_up(void **state)
{
    (void)state;
    log_open("test", NULL, NULL, LOG_LEVEL_ERROR);
    _cleanup_json_ json_t *data =
        json_pack("{s:{s:s}, s:[s], s:s, s:[{s:s,s:s}], s:[{s:s,s:i}]}", "keys", KEY, SECRET, "zones", "pek3a",
                  "lb_network", "192.168.100", "vxnets", "vxnet_id", "vxnet-main001", "vpc_router_id", "rtr-1",
                  "instances", "instance_id", "i-nod00001", "instance_class", 0);
    memcpy(root + sizeof root - sizeof "XXXXXX", "XXXXXX", sizeof "XXXXXX");
    if (mkdtemp(root) == NULL || cloudapi_start(&api, "127.0.0.1", 0, data, NULL) < 0) {
        return -1;
    }
    set_faults(json_object());
    facts.cluster.api_port = cloudapi_port(api);
    const struct cloud_account account = cloud_account_of(&facts);
    _cleanup_free_ char *directory = path_join(root, master.state);
    return cloud_open(&cloud, &account, NULL) == 0 && dir_make(directory, 0700, NULL) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    cloud_free(cloud);
    cloudapi_stop(api);
    return tree_remove(root, NULL);
}

static json_t *call(const char *action, const struct cloud_parameter *parameters, size_t n)
{
    _cleanup_error_ struct error *err = NULL;
    json_t *answer = NULL;
    if (cloud_call(cloud, action, parameters, n, deadline_in(WAIT_MS), &answer, &err) < 0) {
        fail_msg("%s", err->message);
    }
    return answer;
}

#define CLOUD(action, ...)                                                                                             \
    call(action, (const struct cloud_parameter[]){__VA_ARGS__},                                                        \
         ELEMENTS(((const struct cloud_parameter[]){__VA_ARGS__})))

/* COUNT new ones; their ids are appended to IDS. */
static void make_volumes(const char *count, char ***ids)
{
    _cleanup_json_ json_t *made =
        CLOUD("CreateVolumes", {"size", "10"}, {"volume_type", "0"}, {"volume_name", "v"}, {"count", count});
    size_t i;
    json_t *id;
    json_array_foreach (json_object_get(made, "volumes"), i, id) {
        strv_push(ids, json_string_value(id));
    }
}

static json_int_t count_volumes(void)
{
    _cleanup_json_ json_t *list = CLOUD("DescribeVolumes", {"status.1", "available"}, {"status.2", "in-use"});
    return json_integer_value(json_object_get(list, "total_count"));
}

static json_int_t count_balancers(void)
{
    _cleanup_json_ json_t *list = CLOUD("DescribeLoadBalancers", {"status.1", "active"});
    return json_integer_value(json_object_get(list, "total_count"));
}

static json_t *items(char *const *ids)
{
    json_t *list = json_array();
    for (size_t i = 0; ids != NULL && ids[i] != NULL; i++) {
        json_array_append_new(list, json_pack("{ss ss}", "id", ids[i], "of", "the test"));
    }
    return list;
}

/* As `stop` records them. */
static void record(char *const *volumes, char *const *balancers)
{
    _cleanup_json_ json_t *all =
        json_pack("{sb so so}", "complete", 1, "volumes", items(volumes), "load_balancers", items(balancers));
    _cleanup_free_ char *text = json_dumps(all, 0);
    _cleanup_free_ char *path = xasprintf("%s%s/cloud-resources.json", root, master.state);
    assert_int_equal(file_put_private(path, text, NULL), 0);
}

static int destroy(int64_t ms, struct error **err)
{
    struct run run = {.role = &master, .conf = &conf, .facts = &facts, .root = root, .deadline = deadline_in(ms)};
    return step_delete_cloud_resources.apply(&run, err);
}

static void assert_destroyed(int64_t ms)
{
    _cleanup_error_ struct error *err = NULL;
    if (destroy(ms, &err) < 0) {
        fail_msg("%s", err->message);
    }
    assert_int_equal(count_volumes(), 0);
}

static void attach(const char *id)
{
    json_decref(CLOUD("AttachVolumes", {"instance", hosts[0].instance_id}, {"volumes.1", id}));
}

static json_t *refusal(int code, const char *text, int count)
{
    json_t *fault = json_pack("{s:i, s:s}", "ret_code", code, "message", text);
    if (count > 0) {
        json_object_set_new(fault, "count", json_integer(count));
    }
    return fault;
}

static void what_was_refused_once_is_deleted(void **state)
{
    (void)state;
    _cleanup_strv_ char **ids = xcalloc(1, sizeof *ids);
    make_volumes("3", &ids);
    attach(ids[0]);
    record(ids, NULL);
    set_faults(json_pack("{s:{s:o, s:o, s:o}}", "actions", "DescribeVolumes", refusal(1100, "InternalError", 1),
                         "DetachVolumes",
                         refusal(1400, "PermissionDenied, resource [v] lease info not ready yet, please try later", 1),
                         "DeleteVolumes", refusal(2400, "no balance", 2)));
    assert_destroyed(WAIT_MS);
}

static void hundreds_of_volumes_are_deleted(void **state)
{
    (void)state;
    _cleanup_strv_ char **ids = xcalloc(1, sizeof *ids);
    make_volumes("100", &ids);
    make_volumes("100", &ids);
    record(ids, NULL);
    assert_destroyed(WAIT_MS);
}

static void what_stays_refused_is_named_with_its_last_reason(void **state)
{
    (void)state;
    _cleanup_strv_ char **ids = xcalloc(1, sizeof *ids);
    _cleanup_error_ struct error *err = NULL;
    make_volumes("2", &ids);
    attach(ids[0]);
    record(ids, NULL);
    set_faults(json_pack("{s:{s:o, s:o}}", "actions", "DetachVolumes", refusal(1100, "it is the last reason", 0),
                         "DeleteVolumes", refusal(2400, "it is the first reason", 1)));
    /* the volume that can be deleted is, sooner or later; the other one's deletion goes on until the deadline */
    static const int limits[] = {2000, 20000, 60000};
    for (size_t i = 0; i < ELEMENTS(limits) && (err == NULL || strstr(err->message, ids[1]) != NULL); i++) {
        error_freep(&err);
        assert_int_equal(destroy(limits[i], &err), -1);
    }
    assert_int_equal(err->status, STATUS_CLOUD_UNREACHABLE);
    assert_non_null(strstr(err->message, ids[0]));
    assert_non_null(strstr(err->message, "it is the last reason"));
    assert_null(strstr(err->message, ids[1]));
    assert_int_equal(count_volumes(), 1);
}

static void a_refused_key_is_final(void **state)
{
    (void)state;
    _cleanup_strv_ char **ids = xcalloc(1, sizeof *ids);
    _cleanup_error_ struct error *err = NULL;
    make_volumes("2", &ids);
    record(ids, NULL);
    set_faults(json_pack("{s:{s:o}}", "actions", "DescribeVolumes", refusal(1200, "AuthFailure", 0)));
    unsigned before = cloudapi_requests(api);
    assert_int_equal(destroy(WAIT_MS, &err), -1);
    assert_non_null(strstr(err->message, ids[0]));
    assert_non_null(strstr(err->message, ids[1]));
    assert_non_null(strstr(err->message, "AuthFailure"));
    assert_int_equal(cloudapi_requests(api) - before, 1);
}

/* Ends the faults once no volume is left: before, no load balancer can be deleted. */
static void *end_faults(void *context)
{
    (void)context;
    while (count_volumes() > 0 && interrupt_sleep(50, deadline_in(WAIT_MS), NULL) == 0) {
    }
    set_faults(json_object());
    return NULL;
}

static void slow_balancers_do_not_hold_up_volumes(void **state)
{
    (void)state;
    enum { BALANCERS = 14, SLOW_MS = 3500, ENOUGH_MS = 45000 }; /* no time to query each once before the volumes */
    _cleanup_strv_ char **ids = xcalloc(1, sizeof *ids);
    _cleanup_strv_ char **names = NULL;
    pthread_t watcher;
    make_volumes("2", &ids);
    attach(ids[0]);
    for (int i = 0; i < BALANCERS; i++) {
        _cleanup_free_ char *name = xasprintf("k8s_lb_cl-1_default_web_%d", i);
        json_decref(CLOUD("CreateLoadBalancer", {"loadbalancer_name", name}, {"vxnet", "vxnet-main001"},
                          {"loadbalancer_type", "0"}));
        strv_push(&names, name);
    }
    json_decref(CLOUD("CreateLoadBalancer", {"loadbalancer_name", "mine"}, {"vxnet", "vxnet-main001"},
                      {"loadbalancer_type", "0"}));
    record(ids, names);
    set_faults(json_pack("{s:{s:{s:i, s:i, s:s}}}", "actions", "DeleteLoadBalancers", "delay_ms", SLOW_MS, "ret_code",
                         1100, "message", "InternalError"));
    assert_int_equal(pthread_create(&watcher, NULL, end_faults, NULL), 0);
    assert_destroyed(ENOUGH_MS);
    assert_int_equal(pthread_join(watcher, NULL), 0);
    assert_int_equal(count_balancers(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_refused_once_is_deleted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hundreds_of_volumes_are_deleted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_stays_refused_is_named_with_its_last_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_key_is_final, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_balancers_do_not_hold_up_volumes, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("refused_leftovers", tests, NULL, NULL);
}
