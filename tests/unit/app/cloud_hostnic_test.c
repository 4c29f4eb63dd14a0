/* What hostnic leaves in the cloud, given back to a cloud API that keeps it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/cloud/cloud_hostnic.h"
#include "lib/core/json.h"
#include "tests/lab/shared/cloudapi.h"

#define KEY "ABCDEFGHIJKLMNOPQRST"
#define SECRET "0123456789abcdefghijABCDEFGHIJ0123456789"

enum { WAIT_MS = 120000 };

static struct cloudapi *api;
static struct cloud *cloud;
static struct cloud_account account = {"http", "127.0.0.1", 0, "pek3a", KEY, SECRET};
static char *vxnets[] = {"vxnet-pods001", "vxnet-pods002", NULL};
static struct host hosts[] = {{.instance_id = "i-master"}, {.instance_id = "i-node"}};
static struct facts facts = {.cluster = {.id = "cl-1", .vxnet = "vxnet-hosts01"},
                             .parameters = {.pod_vxnets = vxnets},
                             .hosts = hosts,
                             .n_hosts = ELEMENTS(hosts)};

static json_t *vxnet(const char *id, const char *network)
{
    _cleanup_free_ char *cidr = xasprintf("%s.0/24", network);
    _cleanup_free_ char *first = xasprintf("%s.2", network);
    _cleanup_free_ char *last = xasprintf("%s.254", network);
    return json_pack("{s:s, s:{s:s, s:s, s:s}}", "vxnet_id", id, "router", "ip_network", cidr, "dyn_ip_start", first,
                     "dyn_ip_end", last);
}

static int set_up(void **state)
{
    (void)state;
    _cleanup_json_ json_t *data =
        json_pack("{s:{s:s}, s:[s], s:[o, o], s:[{s:s}, {s:s}, {s:s}], s:[{s:s}]}", "keys", KEY, SECRET, "zones",
                  "pek3a", "vxnets", vxnet(vxnets[0], "10.0.1"), vxnet(vxnets[1], "10.0.2"), "instances", "instance_id",
                  "i-master", "instance_id", "i-node", "instance_id", "i-other", "clusters", "cluster_id", "cl-1");
    if (cloudapi_start(&api, "127.0.0.1", 0, data, NULL) < 0) {
        return -1;
    }
    account.port = cloudapi_port(api);
    return cloud_open(&cloud, &account, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    cloud_freep(&cloud);
    cloud = NULL;
    cloudapi_stop(api);
    return 0;
}

/* PARAMETERS: name, value, ..., NULL. A new reference. */
static json_t *call(const char *action, ...)
{
    struct cloud_parameter parameters[16];
    json_t *answer = NULL;
    size_t n = 0;
    va_list list;
    va_start(list, action);
    for (const char *name; (name = va_arg(list, const char *)) != NULL;) {
        parameters[n++] = (struct cloud_parameter){name, va_arg(list, const char *)};
    }
    va_end(list);
    _cleanup_error_ struct error *err = NULL;
    if (cloud_call(cloud, action, parameters, n, deadline_in(WAIT_MS), &answer, &err) < 0) {
        fail_msg("%s", err->message);
    }
    return answer;
}

static void wait_for_jobs(void)
{
    for (json_int_t working = 1; working > 0;) {
        _cleanup_json_ json_t *jobs = call("DescribeJobs", "status", "working", NULL);
        working = json_integer_value(json_object_get(jobs, "total_count"));
    }
}

/* As hostnic's agent does it; attached to INSTANCE unless that is NULL. */
static void make_nic(const char *vxnet_id, const char *name, const char *instance)
{
    _cleanup_json_ json_t *made = call("CreateNics", "vxnet", vxnet_id, "nic_name", name, "disable_ip", "1", NULL);
    const char *id = json_text(json_array_get(json_object_get(made, "nics"), 0), "nic_id");
    if (instance != NULL) {
        json_decref(call("AttachNics", "nics.1", id, "instance", instance, NULL));
        wait_for_jobs();
    }
}

static json_int_t count_nics(const char *name)
{
    _cleanup_json_ json_t *list = call("DescribeNics", "nic_name", name, NULL);
    return json_integer_value(json_object_get(list, "total_count"));
}

static json_int_t count_vips(const char *vxnet_id)
{
    _cleanup_json_ json_t *list = call("DescribeVips", "vxnets.1", vxnet_id, NULL);
    return json_integer_value(json_object_get(list, "total_count"));
}

static void cards_of_the_named_instances_alone_are_deleted(void **state)
{
    (void)state;
    char *leaving[] = {"i-node", "i-gone", NULL};
    size_t count = 0;
    make_nic(vxnets[0], "hostnic_i-node", "i-node");
    make_nic(vxnets[1], "hostnic_i-node", NULL);
    make_nic(vxnets[0], "hostnic_i-gone", NULL);
    make_nic(vxnets[0], "hostnic_i-master", "i-master");
    make_nic(vxnets[0], "hostnic_i-node", "i-other"); /* a user's name for a card of another machine */
    make_nic(vxnets[0], "i-node", "i-node");          /* a user's own */
    assert_int_equal(cloud_release_nics(cloud, &facts, leaving, deadline_in(WAIT_MS), &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_int_equal(count_nics("hostnic_i-gone"), 0);
    assert_int_equal(count_nics("hostnic_i-node"), 1);
    assert_int_equal(count_nics("hostnic_i-master"), 1);
    assert_int_equal(count_nics("i-node"), 1);
    assert_int_equal(cloud_release_nics(cloud, &facts, leaving, deadline_in(WAIT_MS), &count, NULL), 0);
    assert_int_equal(count, 0);
}

static void cards_that_stay_attached_are_named(void **state)
{
    (void)state;
    char *leaving[] = {"i-node", NULL};
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *faults = json_pack("{s:{s:{s:s}}}", "actions", "DetachNics", "job", "failed");
    make_nic(vxnets[0], "hostnic_i-node", "i-node");
    cloudapi_faults(api, faults);
    /* on a loaded machine the first limit may pass before the card was found */
    static const int limits[] = {2000, 20000, 60000};
    for (size_t i = 0; i < ELEMENTS(limits) && (err == NULL || strstr(err->message, "52:54:") == NULL); i++) {
        error_freep(&err);
        assert_int_equal(cloud_release_nics(cloud, &facts, leaving, deadline_in(limits[i]), NULL, &err), -1);
    }
    assert_non_null(strstr(err->message, "52:54:"));
    assert_int_equal(count_nics("hostnic_i-node"), 1);
}

static void reserve(const char *vxnet_id, const char *name, const char *range)
{
    json_decref(call("AllocateVips", "vxnet_id", vxnet_id, "vip_name", name, "vip_range", range, "count", "3", NULL));
}

static const char *firewall(void)
{
    static char *id;
    _cleanup_json_ json_t *clusters = call("DescribeClusters", "clusters.1", "cl-1", NULL);
    free(id);
    id = xstrdup(json_text(json_array_get(json_object_get(clusters, "cluster_set"), 0), "security_group_id"));
    return id;
}

static json_int_t count_rules(void)
{
    _cleanup_json_ json_t *list = call("DescribeSecurityGroupRules", "security_group", firewall(), NULL);
    return json_integer_value(json_object_get(list, "total_count"));
}

static void add_rule(const char *name)
{
    json_decref(call("AddSecurityGroupRules", "security_group", firewall(), "rules.1.protocol", "all",
                     "rules.1.priority", "0", "rules.1.action", "accept", "rules.1.direction", "0", "rules.1.val3",
                     "10.0.1.0/24", "rules.1.security_group_rule_name", name, NULL));
}

static void vips_and_rules_of_the_pod_vxnets_go_with_the_cluster(void **state)
{
    (void)state;
    size_t count = 0;
    reserve(vxnets[0], "hostnic_vxnet-pods001", "10.0.1.2-10.0.1.4");
    reserve(vxnets[0], "mine", "10.0.1.10-10.0.1.12");
    add_rule("hostnic_vxnet-pods001");
    add_rule("ssh");
    assert_int_equal(cloud_release_vxnets(cloud, &facts, deadline_in(WAIT_MS), &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_int_equal(count_vips(vxnets[0]), 3);
    assert_int_equal(count_rules(), 1);
}

static void a_vxnet_that_another_cluster_uses_is_left(void **state)
{
    (void)state;
    size_t count = 0;
    reserve(vxnets[0], "hostnic_vxnet-pods001", "10.0.1.2-10.0.1.4");
    reserve(vxnets[1], "hostnic_vxnet-pods002", "10.0.2.2-10.0.2.4");
    make_nic(vxnets[0], "hostnic_i-other", "i-other");
    assert_int_equal(cloud_release_vxnets(cloud, &facts, deadline_in(WAIT_MS), &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_int_equal(count_vips(vxnets[0]), 3);
    assert_int_equal(count_vips(vxnets[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cards_of_the_named_instances_alone_are_deleted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cards_that_stay_attached_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(vips_and_rules_of_the_pod_vxnets_go_with_the_cluster, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_vxnet_that_another_cluster_uses_is_left, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("cloud_hostnic", tests, NULL, NULL);
}
