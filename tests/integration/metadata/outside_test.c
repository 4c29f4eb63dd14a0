/* The steps that ask what lies outside the cluster: the cloud's API before hostnic, and the Elasticsearch that logs go
 * to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/engine/role.h"
#include "hooks/steps/cluster/logging.h"
#include "hooks/steps/steps.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/shared/cloudapi.h"
#include "tests/lab/shared/cluster.h"
#include "tests/lab/shared/tree.h"

#define KEY "ABCDEFGHIJKLMNOPQRST"
#define SECRET "0123456789abcdefghijABCDEFGHIJ0123456789"

static char directory[64];
static struct cloudapi *api;
static struct conf conf;
static struct role role = {.kubelet = true};
static struct run run;
static json_t *cloud; /* what the API serves */
static json_t *tree;

static void load(const char *of_role)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *view = cluster_view(tree, of_role, 1);
    facts_free(STEAL(run.facts));
    role.name = of_role;
    role.control_plane = strcmp(of_role, "master") == 0;
    if (facts_load(&run.facts, view, &conf, &err) < 0) {
        fail_msg("%s", err->message);
    }
}

static void put(const char *path, const char *value)
{
    _cleanup_json_ json_t *leaf = json_string(value);
    assert_true(tree_put(tree, path, leaf, true));
    load(role.name);
}

static void add_host(const char *of_role, const char *id, const char *ip, const char *sid)
{
    _cleanup_free_ char *path = xasprintf("/hosts/%s/%s", of_role, id);
    _cleanup_json_ json_t *host = json_pack("{s:s, s:s, s:s}", "ip", ip, "sid", sid, "node_id", id);
    assert_true(tree_put(tree, path, host, true));
    load(role.name);
}

static int set_up(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/outside_test.XXXXXX");
    cloud = json_pack("{s:{s:s}, s:[s], s:[{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s}], s:[{s:s,s:b,s:i},{s:s,s:b,s:i}]}",
                      "keys", KEY, SECRET, "zones", "pek3a", "vxnets", "vxnet_id", "vxnet-main001", "vpc_router_id",
                      "rtr-1", "vxnet_id", "vxnet-pods01", "vpc_router_id", "rtr-1", "vxnet_id", "vxnet-pods02",
                      "vpc_router_id", "rtr-1", "vxnet_id", "vxnet-other1", "vpc_router_id", "rtr-2", "instances",
                      "instance_id", "i-mas00001", "of_cluster", 1, "instance_class", 1, "instance_id", "i-nod00001",
                      "of_cluster", 1, "instance_class", 202);
    if (mkdtemp(directory) == NULL || cloudapi_start(&api, "127.0.0.1", 0, cloud, NULL) < 0) {
        return -1;
    }
    _cleanup_free_ char *port = xasprintf("%u", cloudapi_port(api));
    _cleanup_json_ json_t *server = json_pack("{s:s, s:s, s:s}", "host", "127.0.0.1", "port", port, "protocol", "http");
    tree = cluster_load("hostnic", NULL);
    json_object_set(json_object_get(tree, "cluster"), "api_server", server);
    conf = (struct conf){.paths = {.state = directory}};
    run = (struct run){.role = &role, .conf = &conf, .root = "", .deadline = deadline_in(120000)};
    load("master");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    facts_free(STEAL(run.facts));
    cloudapi_stop(api);
    json_decref(cloud);
    json_decref(tree);
    return proc_exec(deadline_in(120000), NULL, "rm", "-rf", directory, NULL);
}

static json_t *cloud_state(void)
{
    _cleanup_free_ char *path = xasprintf("%s/cloud.json", directory);
    return json_load_file(path, 0, NULL);
}

static void assert_kept(int status)
{
    struct stat st;
    _cleanup_free_ char *path = xasprintf("%s/cloud.json", directory);
    _cleanup_json_ json_t *state = cloud_state();
    _cleanup_free_ char *text = json_dumps(state, 0);
    assert_int_equal(json_integer_value(json_object_get(state, "status")), status);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_null(strstr(text, KEY));
    assert_null(strstr(text, SECRET));
}

static void assert_refused(int status, const char *needle)
{
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(step_check_cloud.done(&run, NULL), 0);
    assert_int_equal(step_check_cloud.apply(&run, &err), -1);
    if (err->status != status || strstr(err->message, needle) == NULL) {
        fail_msg("status %d, \"%s\" instead of %d, \"%s\"", (int)err->status, err->message, (int)status, needle);
    }
    assert_kept(status);
    assert_int_equal(step_check_cloud.done(&run, NULL), 0);
}

static void assert_accepted(void)
{
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(step_check_cloud.done(&run, NULL), 0);
    if (step_check_cloud.apply(&run, &err) < 0) {
        fail_msg("%s", err->message);
    }
    assert_kept(STATUS_OK);
    assert_int_equal(step_check_cloud.done(&run, NULL), 1);
}

static void set_fault(enum cloudapi_fault_kind kind, int code)
{
    const struct cloudapi_fault fault = {kind, code, "the reason", 0};
    cloudapi_fault(api, &fault);
}

static void without_hostnic_a_node_does_not_query_the_api(void **state)
{
    (void)state;
    load("node");
    put("/env/enable_hostnic", "false");
    assert_int_equal(step_check_cloud.done(&run, NULL), 1);
    assert_int_equal(step_check_cloud.apply(&run, NULL), 0);
    assert_int_equal(step_query_cloud.done(&run, NULL), 1);
    assert_int_equal(step_install_hostnic.done(&run, NULL), 1);
    assert_int_equal(cloudapi_requests(api), 0);
    assert_null(cloud_state());
}

/* In the one call that checks the key, and again only for what was not there. */
static void the_master_records_the_instance_class_of_each_role(void **state)
{
    (void)state;
    put("/env/enable_hostnic", "false");
    assert_accepted();
    _cleanup_json_ json_t *record = cloud_state();
    const json_t *classes = json_object_get(record, "classes");
    assert_int_equal(json_integer_value(json_object_get(classes, "master")), 1);
    assert_int_equal(json_integer_value(json_object_get(classes, "node")), 202);
    assert_int_equal(json_object_size(classes), 2);
    assert_int_equal(cloudapi_requests(api), 1);

    /* another machine of a role is of its class; a refusal later takes nothing away */
    add_host("node", "i-new00001", "192.168.1.99", "99");
    assert_int_equal(step_check_cloud.done(&run, NULL), 1);
    add_host("ssd_node", "i-ssd00001", "192.168.1.98", "1");
    set_fault(CLOUDAPI_ERROR, 2500);
    assert_refused(STATUS_CLOUD_QUOTA, "the quota is used up");
    _cleanup_json_ json_t *kept = cloud_state();
    assert_true(json_equal(json_object_get(kept, "classes"), classes));
}

/* Volumes and load balancers need the key whatever the network is. */
static void without_hostnic_the_master_checks_the_key_alone(void **state)
{
    (void)state;
    put("/env/enable_hostnic", "false");
    put("/env/pod_vxnets", "vxnet-gone01");
    assert_accepted();
    assert_int_equal(cloudapi_requests(api), 1);
    put("/env/secret_access_key", "0000000000000000000000000000000000000000");
    assert_refused(STATUS_CLOUD_KEY, "correct access_key_id and secret_access_key");
    put("/env/secret_access_key", SECRET);
    set_fault(CLOUDAPI_ERROR, 2500);
    assert_refused(STATUS_CLOUD_QUOTA, "wait an hour");
    set_fault(CLOUDAPI_CLOSE, 0);
    assert_refused(STATUS_CLOUD_UNREACHABLE, "make sure that an EIP is associated with the VPC");
}

static void a_key_of_another_user_is_refused(void **state)
{
    (void)state;
    json_object_set_new(json_array_get(json_object_get(cloud, "instances"), 0), "owner",
                        json_string("ANOTHERUSERSACCESSKE"));
    cloudapi_data(api, cloud);
    assert_refused(STATUS_CLOUD_KEY, "does not see this host, i-mas00001");
}

/* A root that is written elsewhere, for an image or to look at it. */
static void under_another_root_the_api_is_not_queried(void **state)
{
    (void)state;
    run.root = directory;
    assert_int_equal(step_check_cloud.done(&run, NULL), 1);
    assert_int_equal(step_query_cloud.done(&run, NULL), 1);
    assert_int_equal(cloudapi_requests(api), 0);
}

static void accepted_settings_are_not_queried_again(void **state)
{
    (void)state;
    assert_accepted();
    assert_int_equal(cloudapi_requests(api), 2);
    put("/hosts/node/i-nod00001/ip", "192.168.1.77");
    assert_int_equal(step_check_cloud.done(&run, NULL), 1);
    put("/env/pod_vxnets", "vxnet-pods01 vxnet-pods02 vxnet-other1");
    assert_refused(STATUS_VXNET_VPC, "vxnet-other1 (rtr-2)");
}

/* Each start queries, as a key may be revoked while the cluster is stopped. */
static void a_start_queries_accepted_settings_again(void **state)
{
    (void)state;
    assert_accepted();
    assert_int_equal(step_query_cloud.done(&run, NULL), 0);
    assert_int_equal(step_query_cloud.apply(&run, NULL), 0);
    assert_int_equal(cloudapi_requests(api), 4);
    assert_kept(STATUS_OK);
    _cleanup_error_ struct error *err = NULL;
    set_fault(CLOUDAPI_ERROR, 1200);
    assert_int_equal(step_query_cloud.done(&run, NULL), 0);
    assert_int_equal(step_query_cloud.apply(&run, &err), -1);
    assert_int_equal(err->status, STATUS_CLOUD_KEY);
    assert_kept(STATUS_CLOUD_KEY);
}

static void assert_starts_without_an_answer(void)
{
    _cleanup_json_ json_t *before = cloud_state();
    unsigned requests = cloudapi_requests(api);
    assert_int_equal(step_query_cloud.done(&run, NULL), 0);
    assert_int_equal(step_query_cloud.apply(&run, NULL), 0);
    assert_true(cloudapi_requests(api) > requests);
    _cleanup_json_ json_t *after = cloud_state();
    assert_true(json_equal(before, after));
    assert_int_equal(step_check_cloud.done(&run, NULL), 1);
}

static void an_accepted_cluster_starts_while_the_api_is_away(void **state)
{
    (void)state;
    assert_accepted();
    set_fault(CLOUDAPI_ERROR, 2500);
    assert_starts_without_an_answer();
    set_fault(CLOUDAPI_HTTP, 502);
    assert_starts_without_an_answer();
    set_fault(CLOUDAPI_HANG, 0);
    run.deadline = deadline_in(5000); /* the request must have come by then, also on a loaded machine */
    assert_starts_without_an_answer();
}

/* Inputs that the API did not accept before need its answer. */
static void without_an_accepted_answer_a_start_is_refused(void **state)
{
    (void)state;
    _cleanup_error_ struct error *first = NULL;
    _cleanup_error_ struct error *changed = NULL;
    set_fault(CLOUDAPI_ERROR, 2500);
    assert_int_equal(step_query_cloud.apply(&run, &first), -1);
    assert_int_equal(first->status, STATUS_CLOUD_QUOTA);
    assert_kept(STATUS_CLOUD_QUOTA);
    set_fault(CLOUDAPI_GOOD, 0);
    assert_accepted();
    set_fault(CLOUDAPI_HTTP, 502);
    put("/env/secret_access_key", "0000000000000000000000000000000000000000");
    assert_int_equal(step_query_cloud.apply(&run, &changed), -1);
    assert_int_equal(changed->status, STATUS_CLOUD_UNREACHABLE);
    assert_kept(STATUS_CLOUD_UNREACHABLE);
}

static void a_changed_key_is_used_for_the_query(void **state)
{
    (void)state;
    assert_accepted();
    put("/env/secret_access_key", "0000000000000000000000000000000000000000");
    assert_refused(STATUS_CLOUD_KEY, "the API key is refused");
}

static void an_absent_vxnet_is_named(void **state)
{
    (void)state;
    put("/env/pod_vxnets", "vxnet-pods01 vxnet-gone01 vxnet-gone02");
    assert_refused(STATUS_VXNET_ABSENT, "vxnet-gone01 vxnet-gone02");
}

static void a_cluster_vxnet_outside_any_vpc_is_refused(void **state)
{
    (void)state;
    json_object_del(json_array_get(json_object_get(cloud, "vxnets"), 0), "vpc_router_id");
    cloudapi_data(api, cloud);
    assert_refused(STATUS_VXNET_VPC, "vxnet-main001 is in no VPC");
}

static void a_pod_vxnet_within_the_services_network_is_refused(void **state)
{
    (void)state;
    json_t *vxnet = json_array_get(json_object_get(cloud, "vxnets"), 1);
    json_object_set_new(vxnet, "router", json_pack("{s:s}", "ip_network", "10.96.1.0/24"));
    cloudapi_data(api, cloud);
    assert_refused(STATUS_PARAMETER, "pod_vxnets \"vxnet-pods01\": a vxnet apart from 10.96.0.0/16");
}

static void addresses_must_suffice_for_all_nodes(void **state)
{
    (void)state;
    put("/env/pod_vxnets", "vxnet-pods01");
    assert_refused(STATUS_VXNET_ADDRESSES, "5 nodes with 60 pods each need 300 addresses, the pod vxnets (1) have 240");
    put("/env/pod_vxnets", "vxnet-pods01 vxnet-pods02");
    assert_accepted();
    cluster_generate(tree, "ssd_node", 4);
    load("master");
    assert_refused(STATUS_VXNET_ADDRESSES, "9 nodes");
    /* those that leave need none */
    for (int sid = 1; sid <= 4; sid++) {
        _cleanup_free_ char *path = xasprintf("/deleting-hosts/ssd_node/i-ssd%05d/sid", sid);
        put(path, "x");
    }
    assert_accepted();
}

static void the_api_s_refusals_keep_their_status(void **state)
{
    (void)state;
    set_fault(CLOUDAPI_ERROR, 2500);
    assert_refused(STATUS_CLOUD_QUOTA, "2500");
    set_fault(CLOUDAPI_ERROR, 1200);
    assert_refused(STATUS_CLOUD_KEY, "1200");
    set_fault(CLOUDAPI_HTTP, 502);
    assert_refused(STATUS_CLOUD_UNREACHABLE, "502");
    set_fault(CLOUDAPI_HANG, 0);
    run.deadline = deadline_in(2000);
    assert_refused(STATUS_CLOUD_UNREACHABLE, "the cloud API");
    set_fault(CLOUDAPI_GOOD, 0);
    run.deadline = deadline_in(120000);
    assert_accepted();
}

static void a_node_queries_only_the_api_key(void **state)
{
    (void)state;
    load("node");
    put("/env/pod_vxnets", "vxnet-gone01");
    assert_accepted();
    assert_int_equal(cloudapi_requests(api), 1);
}

static void hostnic_s_records_lie_on_data(void **state)
{
    (void)state;
    char root[128];
    char target[64] = {0};
    struct stat st;
    (void)snprintf(root, sizeof root, "%s/root", directory);
    run.root = root;
    _cleanup_free_ char *plugin = xasprintf("%s/opt/cni/bin/hostnic", root);
    _cleanup_free_ char *link = xasprintf("%s/var/lib/hostnic", root);
    _cleanup_free_ char *records = path_join("/data/var/lib/hostnic", run.facts->self->instance_id);
    _cleanup_free_ char *kept = path_join(root, records);
    const struct file_spec spec = {plugin, "#!", 2, 0755, geteuid(), getegid()};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
    assert_int_equal(step_install_hostnic.done(&run, NULL), 0);
    assert_int_equal(step_install_hostnic.apply(&run, NULL), 0);
    assert_true(readlink(link, target, sizeof target - 1) > 0);
    assert_string_equal(target, records);
    assert_int_equal(stat(kept, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    /* no event changes what another one made of it */
    assert_int_equal(step_make_directories.apply(&run, NULL), 0);
    assert_int_equal(stat(kept, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(step_install_hostnic.apply(&run, NULL), 0);
    assert_int_equal(step_make_directories.done(&run, NULL), 1);
}

static void an_image_without_hostnic_is_an_error(void **state)
{
    (void)state;
    char root[128];
    (void)snprintf(root, sizeof root, "%s/root", directory);
    run.root = root;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(step_install_hostnic.apply(&run, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
    assert_non_null(strstr(err->message, "versions.json"));
}

static void log_nodes_need_no_answer(void **state)
{
    (void)state;
    assert_int_equal(step_probe_elasticsearch.done(&run, NULL), 1);
}

static void an_external_elasticsearch_must_answer(void **state)
{
    (void)state;
    _cleanup_free_ char *server = xasprintf("127.0.0.1:%u", cloudapi_port(api));
    assert_true(tree_delete(tree, "/hosts/log", NULL));
    put("/env/es_server", server);
    assert_int_equal(step_probe_elasticsearch.done(&run, NULL), 0);
    assert_int_equal(step_probe_elasticsearch.apply(&run, NULL), 0);
    assert_int_equal(cloudapi_requests(api), 1);
}

static void an_elasticsearch_that_is_starting_is_waited_for(void **state)
{
    (void)state;
    const struct cloudapi_fault starting = {CLOUDAPI_HTTP, 503, "starting", 1};
    cloudapi_fault(api, &starting);
    assert_int_equal(elasticsearch_await("127.0.0.1", cloudapi_port(api), deadline_in(120000), NULL), 0);
    assert_int_equal(cloudapi_requests(api), 2);
}

static void assert_not_there(const char *needle)
{
    static const int limits[] = {200, 5000,
                                 60000}; /* on a loaded machine the first may pass before there was an answer */
    _cleanup_error_ struct error *err = NULL;
    for (size_t i = 0; i < ELEMENTS(limits) && (err == NULL || strstr(err->message, needle) == NULL); i++) {
        error_freep(&err);
        assert_int_equal(elasticsearch_await("127.0.0.1", cloudapi_port(api), deadline_in(limits[i]), &err), -1);
    }
    assert_int_equal(err->status, STATUS_LOG_UNREACHABLE);
    assert_non_null(strstr(err->message, needle));
}

static void an_elasticsearch_that_never_answers_is_status_102(void **state)
{
    (void)state;
    assert_int_equal(STATUS_LOG_UNREACHABLE, 102);
    set_fault(CLOUDAPI_HTTP, 503);
    assert_not_there("HTTP status 503");
    set_fault(CLOUDAPI_HANG, 0);
    assert_not_there("127.0.0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_hostnic_a_node_does_not_query_the_api, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_hostnic_the_master_checks_the_key_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_master_records_the_instance_class_of_each_role, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_of_another_user_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(under_another_root_the_api_is_not_queried, set_up, tear_down),
        cmocka_unit_test_setup_teardown(accepted_settings_are_not_queried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_start_queries_accepted_settings_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_accepted_cluster_starts_while_the_api_is_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_an_accepted_answer_a_start_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_key_is_used_for_the_query, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_absent_vxnet_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cluster_vxnet_outside_any_vpc_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pod_vxnet_within_the_services_network_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(addresses_must_suffice_for_all_nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_api_s_refusals_keep_their_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_queries_only_the_api_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostnic_s_records_lie_on_data, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_image_without_hostnic_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(log_nodes_need_no_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_external_elasticsearch_must_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_elasticsearch_that_is_starting_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_elasticsearch_that_never_answers_is_status_102, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("outside", tests, NULL, NULL);
}
