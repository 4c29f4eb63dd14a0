/* The cloud API's server: what it makes, what takes time, and what it refuses, as the public API does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cloud/cloud.h"
#include "lib/core/json.h"
#include "tests/lab/shared/cloudapi.h"

#define KEY "ABCDEFGHIJKLMNOPQRST"
#define OTHER_KEY "TSRQPONMLKJIHGFEDCBA"
#define SECRET "0123456789abcdefghijABCDEFGHIJ0123456789"

enum { WAIT_MS = 120000, PARAMETERS = 16 };

static struct cloudapi *api;
static struct cloud_account account = {"http", "127.0.0.1", 0, "pek3a", KEY, SECRET};
static char directory[] = "/tmp/cloudapi-XXXXXX";
static char *state_path;

static json_t *data_of(const char *instances)
{
    json_t *data = json_pack("{s:{s:s,s:s}, s:{s:s,s:s}, s:[s,s], s:[{s:s},{s:s}], s:s}", "keys", KEY, SECRET,
                             OTHER_KEY, SECRET, "users", KEY, "usr-one", OTHER_KEY, "usr-two", "zones", "pek3a",
                             "pek3b", "vxnets", "vxnet_id", "vxnet-a", "vxnet_id", "vxnet-b", "lb_network", "10.0.0");
    json_object_set_new(data, "instances", json_loads(instances, 0, NULL));
    return data;
}

#define INSTANCES                                                                                                      \
    "[{\"instance_id\": \"i-standard\", \"instance_class\": 0, \"of_cluster\": true},"                                 \
    " {\"instance_id\": \"i-super\", \"instance_class\": 1, \"of_cluster\": true, \"_dev\": \"/nowhere\"}]"

static void start_server(void)
{
    _cleanup_json_ json_t *data = data_of(INSTANCES);
    _cleanup_json_ json_t *quick = json_pack("{s:i}", "job_ms", 0);
    assert_int_equal(cloudapi_start(&api, "127.0.0.1", 0, data, NULL), 0);
    assert_int_equal(cloudapi_keep(api, state_path, NULL, NULL), 0);
    cloudapi_faults(api, quick);
    account.port = cloudapi_port(api);
}

static int set_up(void **state)
{
    (void)state;
    (void)unlink(state_path);
    account.access_key_id = KEY;
    account.zone = "pek3a";
    start_server();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cloudapi_stop(api);
    return 0;
}

static void set_faults(const char *text)
{
    _cleanup_json_ json_t *faults = json_loads(text, 0, NULL);
    assert_non_null(faults);
    cloudapi_faults(api, faults);
}

/* A signed call; PARAMETERS are "name=value" apart by blanks. The answer as it comes, ret_code and all. */
static json_t *call(const char *action, const char *parameters)
{
    _cleanup_strv_ char **words = strv_split(parameters);
    struct cloud_parameter list[PARAMETERS];
    size_t n = 0;
    for (char **word = words; *word != NULL; word++) {
        char *equals = strchr(*word, '=');
        assert_non_null(equals);
        *equals = '\0';
        list[n++] = (struct cloud_parameter){*word, equals + 1};
    }
    _cleanup_free_ char *query = cloud_query(&account, action, list, n, time(NULL));
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%d/iaas/?%s", account.port, query);
    _cleanup_buffer_ struct buffer body = {0};
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)WAIT_MS);
    FILE *out = open_memstream(&body.data, &body.len);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    curl_easy_cleanup(curl);
    (void)fclose(out);
    json_t *answer = json_loads(body.data, 0, NULL);
    assert_non_null(answer);
    return answer;
}

static long code_of(const char *action, const char *parameters)
{
    _cleanup_json_ json_t *answer = call(action, parameters);
    return (long)json_integer_value(json_object_get(answer, "ret_code"));
}

static void assert_refused(const char *action, const char *parameters, long code)
{
    _cleanup_json_ json_t *answer = call(action, parameters);
    if (json_integer_value(json_object_get(answer, "ret_code")) != code) {
        _cleanup_free_ char *text = json_dumps(answer, 0);
        fail_msg("%s %s: %s instead of %ld", action, parameters, text, code);
    }
}

/* A string of the answer at the path of members and indexes; the caller frees. Fails when the call does. */
static char *text_of(const char *action, const char *parameters, const char *path)
{
    _cleanup_json_ json_t *answer = call(action, parameters);
    _cleanup_free_ char *copy = xstrdup(path);
    const json_t *value = answer;
    if (json_integer_value(json_object_get(answer, "ret_code")) != 0) {
        fail_msg("%s %s: %s", action, parameters, json_text_or(answer, "message", ""));
    }
    char *rest = NULL;
    for (char *name = strtok_r(copy, ".", &rest); name != NULL; name = strtok_r(NULL, ".", &rest)) {
        long index = 0;
        value = str_number(name, 0, 100, &index) ? json_array_get(value, (size_t)index) : json_object_get(value, name);
    }
    return json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
}

#define assert_text(action, parameters, path, expected)                                                                \
    do {                                                                                                               \
        _cleanup_free_ char *text_ = text_of(action, parameters, path);                                                \
        assert_non_null(text_);                                                                                        \
        assert_string_equal(text_, expected);                                                                          \
    } while (0)

static char *new_volume(int type)
{
    _cleanup_free_ char *parameters = xasprintf("size=10 volume_type=%d volume_name=v", type);
    return text_of("CreateVolumes", parameters, "volumes.0");
}

static void a_volume_is_made_attached_resized_and_deleted(void **state)
{
    (void)state;
    _cleanup_free_ char *id = new_volume(0);
    _cleanup_free_ char *it = xasprintf("volumes.1=%s", id);
    _cleanup_free_ char *with_instance = xasprintf("volumes.1=%s instance=i-standard", id);
    _cleanup_free_ char *larger = xasprintf("volumes.1=%s size=20", id);
    assert_text("DescribeVolumes", it, "volume_set.0.status", "available");
    assert_text("DescribeVolumes", it, "volume_set.0.instance.instance_id", "");
    assert_text("DescribeVolumes", it, "volume_set.0.zone_id", "pek3a");
    assert_text("AttachVolumes", with_instance, "action", "AttachVolumesResponse");
    assert_text("DescribeVolumes", it, "volume_set.0.status", "in-use");
    assert_text("DescribeVolumes", it, "volume_set.0.instance.instance_id", "i-standard");
    assert_text("DescribeVolumes", it, "volume_set.0.instance.device", "/dev/vdc");
    assert_text("DescribeInstances", "is_cluster_node=1 instances.1=i-standard", "instance_set.0.volume_ids.0", id);
    assert_refused("AttachVolumes", with_instance, 1400);
    assert_refused("ResizeVolumes", larger, 1400); /* in use */
    assert_refused("DeleteVolumes", it, 1400);
    assert_int_equal(code_of("DetachVolumes", with_instance), 0);
    assert_text("DescribeVolumes", it, "volume_set.0.status", "available");
    assert_refused("DetachVolumes", with_instance, 1400);
    assert_int_equal(code_of("ResizeVolumes", larger), 0);
    assert_text("DescribeVolumes", it, "volume_set.0.size", "20");
    assert_refused("ResizeVolumes", larger, 1400); /* not larger */
    assert_int_equal(code_of("DeleteVolumes", it), 0);
    assert_text("DescribeVolumes", it, "volume_set.0.status", "deleted");
    assert_refused("DeleteVolumes", it, 2100);
}

static void types_fit_sizes_and_instances(void **state)
{
    (void)state;
    assert_refused("CreateVolumes", "volume_type=0", 1100);
    assert_refused("CreateVolumes", "size=10 volume_type=7", 1100);
    assert_refused("CreateVolumes", "size=15 volume_type=0", 1100);
    assert_refused("CreateVolumes", "size=2010 volume_type=0", 1100);
    assert_refused("CreateVolumes", "size=50 volume_type=2", 1100);
    static const struct {
        int type;
        const char *good, *bad;
    } cases[] = {{0, "i-standard", "i-super"},
                 {3, "i-super", "i-standard"},
                 {100, "i-standard", "i-super"},
                 {200, "i-super", "i-standard"}};
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_free_ char *id = new_volume(cases[i].type);
        _cleanup_free_ char *bad = xasprintf("volumes.1=%s instance=%s", id, cases[i].bad);
        _cleanup_free_ char *good = xasprintf("volumes.1=%s instance=%s", id, cases[i].good);
        assert_refused("AttachVolumes", bad, 1400);
        assert_int_equal(code_of("AttachVolumes", good), 0);
    }
    assert_refused("AttachVolumes", "volumes.1=vol-absent00 instance=i-standard", 2100);
    _cleanup_free_ char *id = new_volume(0);
    _cleanup_free_ char *nowhere = xasprintf("volumes.1=%s instance=i-absent", id);
    assert_refused("AttachVolumes", nowhere, 2100);
}

static void a_job_takes_its_time_and_may_fail(void **state)
{
    (void)state;
    set_faults("{\"job_ms\": 600000}");
    _cleanup_free_ char *id = new_volume(0);
    _cleanup_free_ char *it = xasprintf("volumes.1=%s", id);
    assert_text("DescribeVolumes", it, "volume_set.0.status", "pending");
    assert_text("DescribeVolumes", it, "volume_set.0.transition_status", "creating");
    assert_text("DescribeJobs", "", "job_set.0.status", "working");
    assert_refused("DeleteVolumes", it, 1400); /* on its way */
    set_faults("{\"job_ms\": 0, \"actions\": {\"AttachVolumes\": {\"job\": \"failed\", \"count\": 1}}}");
    _cleanup_free_ char *ready = new_volume(0);
    _cleanup_free_ char *its = xasprintf("volumes.1=%s", ready);
    _cleanup_free_ char *attach = xasprintf("volumes.1=%s instance=i-standard", ready);
    _cleanup_free_ char *job = text_of("AttachVolumes", attach, "job_id");
    _cleanup_free_ char *jobs = xasprintf("jobs.1=%s", job);
    assert_text("DescribeJobs", jobs, "job_set.0.status", "failed");
    assert_text("DescribeJobs", jobs, "job_set.0.job_action", "AttachVolumes");
    _cleanup_free_ char *directive = xasprintf(
        "{\"action\":\"AttachVolumes\",\"instance\":\"i-standard\",\"volumes\":[\"%s\"],\"zone\":\"pek3a\"}", ready);
    assert_text("DescribeJobs", jobs, "job_set.0.directive", directive);
    assert_text("DescribeVolumes", its, "volume_set.0.status", "available");
    assert_int_equal(code_of("AttachVolumes", attach), 0);
    assert_text("DescribeVolumes", its, "volume_set.0.status", "in-use");
}

static void snapshots_and_clones_are_volumes_again(void **state)
{
    (void)state;
    _cleanup_free_ char *volume = new_volume(3);
    _cleanup_free_ char *of = xasprintf("resources.1=%s snapshot_name=s is_full=1", volume);
    _cleanup_free_ char *clone = xasprintf("volume=%s volume_name=c", volume);
    set_faults("{\"job_ms\": 600000}");
    _cleanup_free_ char *unready = text_of("CreateSnapshots", of, "snapshots.0");
    _cleanup_free_ char *early = xasprintf("snapshot=%s volume_name=r", unready);
    _cleanup_json_ json_t *refusal = call("CreateVolumeFromSnapshot", early);
    _cleanup_free_ char *expected =
        xasprintf("PermissionDenied, snapshot [%s] is not available, can not create volume from it", unready);
    assert_string_equal(json_text_or(refusal, "message", ""), expected);
    set_faults("{\"job_ms\": 0}");
    _cleanup_free_ char *id = text_of("CreateSnapshots", of, "snapshots.0");
    _cleanup_free_ char *it = xasprintf("snapshots.1=%s verbose=1", id);
    _cleanup_free_ char *from = xasprintf("snapshot=%s volume_name=r", id);
    assert_text("DescribeSnapshots", it, "snapshot_set.0.status", "available");
    assert_text("DescribeSnapshots", it, "snapshot_set.0.size", "10240");
    assert_text("DescribeSnapshots", it, "snapshot_set.0.snapshot_resource.size", "10");
    assert_text("DescribeSnapshots", it, "snapshot_set.0.resource.resource_id", volume);
    _cleanup_free_ char *made = text_of("CreateVolumeFromSnapshot", from, "volume_id");
    _cleanup_free_ char *its = xasprintf("volumes.1=%s", made);
    assert_text("DescribeVolumes", its, "volume_set.0.volume_type", "3");
    assert_text("DescribeVolumes", its, "volume_set.0.size", "10");
    _cleanup_free_ char *cloned = text_of("CloneVolumes", clone, "volumes.0");
    assert_string_not_equal(cloned, made);
    assert_int_equal(code_of("DeleteSnapshots", it), 0);
    assert_refused("CreateVolumeFromSnapshot", from, 2100);
}

static void a_load_balancer_has_an_address_listeners_and_backends(void **state)
{
    (void)state;
    assert_refused("CreateLoadBalancer", "loadbalancer_name=l", 1100);
    assert_refused("CreateLoadBalancer", "vxnet=vxnet-absent", 2100);
    assert_refused("CreateLoadBalancer", "vxnet=vxnet-a loadbalancer_type=9", 1100);
    _cleanup_free_ char *id =
        text_of("CreateLoadBalancer", "vxnet=vxnet-a loadbalancer_name=private", "loadbalancer_id");
    _cleanup_free_ char *it = xasprintf("loadbalancers.1=%s verbose=1", id);
    _cleanup_free_ char *update = xasprintf("loadbalancers.1=%s", id);
    assert_text("DescribeLoadBalancers", it, "loadbalancer_set.0.status", "active");
    assert_text("DescribeLoadBalancers", it, "loadbalancer_set.0.private_ips.0", "10.0.0.240");
    assert_text("DescribeLoadBalancers", it, "loadbalancer_set.0.is_applied", "1");
    _cleanup_free_ char *listen = xasprintf("loadbalancer=%s listeners.1.listener_port=80 "
                                            "listeners.1.listener_protocol=tcp listeners.1.backend_protocol=tcp",
                                            id);
    _cleanup_free_ char *listener = text_of("AddLoadBalancerListeners", listen, "loadbalancer_listeners.0");
    assert_refused("AddLoadBalancerListeners", listen, 1400); /* the port is used */
    _cleanup_free_ char *back =
        xasprintf("loadbalancer_listener=%s backends.1.resource_id=i-standard backends.1.port=30080", listener);
    _cleanup_free_ char *strange =
        xasprintf("loadbalancer_listener=%s backends.1.resource_id=i-absent backends.1.port=30080", listener);
    assert_refused("AddLoadBalancerBackends", strange, 2100);
    assert_int_equal(code_of("AddLoadBalancerBackends", back), 0);
    assert_refused("AddLoadBalancerBackends", back, 1400); /* there already */
    assert_text("DescribeLoadBalancers", it, "loadbalancer_set.0.is_applied", "0");
    assert_text("DescribeLoadBalancers", it, "loadbalancer_set.0.listeners.0.backends.0.port", "30080");
    assert_int_equal(code_of("UpdateLoadBalancers", update), 0);
    assert_text("DescribeLoadBalancers", it, "loadbalancer_set.0.is_applied", "1");
    assert_int_equal(code_of("DeleteLoadBalancers", update), 0);
    assert_text("DescribeLoadBalancers", it, "loadbalancer_set.0.status", "deleted");
    assert_text("DescribeLoadBalancerBackends", "", "total_count", "0");
    assert_refused("DeleteLoadBalancers", update, 2100);
}

static void a_public_address_belongs_to_one_load_balancer(void **state)
{
    (void)state;
    assert_refused("AllocateEips", "eip_name=e", 1100); /* no bandwidth */
    _cleanup_free_ char *eip = text_of("AllocateEips", "bandwidth=2 eip_name=e", "eips.0");
    _cleanup_free_ char *it = xasprintf("eips.1=%s", eip);
    assert_text("DescribeEips", it, "eip_set.0.status", "available");
    _cleanup_free_ char *id = text_of("CreateLoadBalancer", it, "loadbalancer_id");
    _cleanup_free_ char *balancer = xasprintf("loadbalancers.1=%s", id);
    assert_refused("CreateLoadBalancer", it, 1400);
    assert_refused("ReleaseEips", it, 1400);
    assert_text("DescribeEips", it, "eip_set.0.status", "associated");
    assert_text("DescribeEips", it, "eip_set.0.resource.resource_id", id);
    assert_text("DescribeLoadBalancers", balancer, "loadbalancer_set.0.cluster.0.eip_addr", "203.0.113.1");
    assert_text("DescribeLoadBalancers", balancer, "loadbalancer_set.0.private_ips.0", "198.19.1.1");
    assert_int_equal(code_of("DeleteLoadBalancers", balancer), 0);
    assert_text("DescribeEips", it, "eip_set.0.status", "available");
    assert_int_equal(code_of("ReleaseEips", it), 0);
    assert_text("DescribeEips", it, "eip_set.0.status", "released");
}

static void quotas_are_kept(void **state)
{
    (void)state;
    set_faults("{\"job_ms\": 0, \"quota\": {\"volume\": 2, \"loadbalancer\": 0}}");
    _cleanup_free_ char *first = new_volume(0);
    assert_text("GetQuotaLeft", "resource_types.1=volume", "quota_left_set.0.left", "1");
    assert_refused("CreateVolumes", "size=10 count=2", 2500);
    _cleanup_free_ char *second = new_volume(0);
    assert_refused("CreateVolumes", "size=10", 2500);
    assert_refused("CreateLoadBalancer", "vxnet=vxnet-a", 2500);
    _cleanup_free_ char *it = xasprintf("volumes.1=%s", second);
    assert_int_equal(code_of("DeleteVolumes", it), 0);
    assert_text("DescribeVolumes", it, "volume_set.0.status", "deleted");
    assert_int_equal(code_of("CreateVolumes", "size=10"), 0);
}

static void another_user_sees_and_changes_nothing(void **state)
{
    (void)state;
    _cleanup_free_ char *id = new_volume(0);
    _cleanup_free_ char *it = xasprintf("volumes.1=%s", id);
    account.access_key_id = OTHER_KEY;
    assert_text("DescribeVolumes", "", "total_count", "0");
    assert_refused("DeleteVolumes", it, 2100);
    assert_text("DescribeAccessKeys", "", "access_key_set.0.owner", "usr-two");
    account.zone = "pek3b";
    assert_text("DescribeZones", "", "zone_set.1.zone_id", "pek3b");
    assert_text("DescribeInstances", "", "total_count", "0"); /* not without is_cluster_node */
    account.zone = "pek9";
    assert_refused("DescribeVolumes", "", 1100);
}

static void tags_and_security_groups(void **state)
{
    (void)state;
    _cleanup_free_ char *id = new_volume(0);
    _cleanup_free_ char *tag = text_of("CreateTag", "tag_name=t", "tag_id");
    _cleanup_free_ char *pair = xasprintf("resource_tag_pairs.1.tag_id=%s resource_tag_pairs.1.resource_type=volume "
                                          "resource_tag_pairs.1.resource_id=%s",
                                          tag, id);
    assert_int_equal(code_of("AttachTags", pair), 0);
    assert_text("DescribeTags", "", "tag_set.0.resource_tag_pairs.0.resource_id", id);
    assert_refused("AttachTags",
                   "resource_tag_pairs.1.tag_id=tag-x resource_tag_pairs.1.resource_type=volume "
                   "resource_tag_pairs.1.resource_id=vol-x",
                   2100);
    _cleanup_free_ char *group = text_of("CreateSecurityGroup", "security_group_name=g", "security_group_id");
    _cleanup_free_ char *rule =
        xasprintf("security_group=%s rules.1.priority=1 rules.1.protocol=tcp rules.1.action=accept", group);
    _cleanup_free_ char *wrong =
        xasprintf("security_group=%s rules.1.priority=1 rules.1.protocol=xyz rules.1.action=accept", group);
    _cleanup_free_ char *apply = xasprintf("security_group=%s", group);
    _cleanup_free_ char *delete = xasprintf("security_groups.1=%s", group);
    _cleanup_free_ char *use = xasprintf("vxnet=vxnet-a security_group=%s", group);
    assert_refused("AddSecurityGroupRules", wrong, 1100);
    assert_int_equal(code_of("AddSecurityGroupRules", rule), 0);
    assert_text("DescribeSecurityGroups", "search_word=g", "security_group_set.0.is_applied", "0");
    assert_int_equal(code_of("ApplySecurityGroup", apply), 0);
    assert_text("DescribeSecurityGroups", "search_word=g", "security_group_set.0.is_applied", "1");
    assert_int_equal(code_of("CreateLoadBalancer", use), 0);
    assert_refused("DeleteSecurityGroups", delete, 1400);
}

static void faults_meet_the_action_they_name(void **state)
{
    (void)state;
    set_faults("{\"job_ms\": 0, \"actions\": {\"CreateVolumes\": {\"ret_code\": 5100, \"message\": \"busy\","
               " \"count\": 2}, \"DescribeVolumes\": {\"delay_ms\": 50}}}");
    assert_refused("CreateVolumes", "size=10", 5100);
    assert_int_equal(code_of("DescribeJobs", ""), 0);
    assert_refused("CreateVolumes", "size=10", 5100);
    assert_int_equal(code_of("CreateVolumes", "size=10"), 0);
    int64_t before = clock_ms();
    assert_int_equal(code_of("DescribeVolumes", ""), 0);
    assert_true(clock_ms() - before >= 50);
    set_faults("{\"actions\": {\"*\": {\"ret_code\": 5300, \"message\": \"updating\"}}}");
    assert_refused("DescribeZones", "", 5300);
    assert_refused("NoSuchAction", "", 5300);
    set_faults("{}");
    assert_refused("NoSuchAction", "", 1100);
    _cleanup_(cloud_freep) struct cloud *cloud = NULL;
    _cleanup_json_ json_t *answer = NULL;
    set_faults("{\"actions\": {\"DescribeZones\": {\"hang\": true}}}");
    assert_int_equal(cloud_open(&cloud, &account, NULL), 0);
    assert_int_equal(cloud_call(cloud, "DescribeZones", NULL, 0, deadline_in(300), &answer, NULL), -1);
}

static void what_was_made_outlives_the_server(void **state)
{
    (void)state;
    _cleanup_free_ char *id = new_volume(0);
    _cleanup_free_ char *it = xasprintf("volumes.1=%s", id);
    _cleanup_free_ char *attach = xasprintf("volumes.1=%s instance=i-standard", id);
    assert_int_equal(code_of("AttachVolumes", attach), 0);
    cloudapi_stop(api);
    start_server();
    assert_text("DescribeVolumes", it, "volume_set.0.status", "in-use");
    struct stat st;
    assert_int_equal(stat(state_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void an_instance_that_is_gone_leaves_its_volumes(void **state)
{
    (void)state;
    _cleanup_free_ char *id = new_volume(0);
    _cleanup_free_ char *it = xasprintf("volumes.1=%s", id);
    _cleanup_free_ char *attach = xasprintf("volumes.1=%s instance=i-standard", id);
    assert_int_equal(code_of("AttachVolumes", attach), 0);
    assert_text("DescribeVolumes", it, "volume_set.0.status", "in-use");
    _cleanup_json_ json_t *without = data_of("[]");
    cloudapi_data(api, without);
    assert_text("DescribeVolumes", it, "volume_set.0.status", "available");
    assert_text("DescribeVolumes", it, "volume_set.0.instance.instance_id", "");
}

int main(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test_setup_teardown(a_volume_is_made_attached_resized_and_deleted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(types_fit_sizes_and_instances, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_takes_its_time_and_may_fail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(snapshots_and_clones_are_volumes_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_load_balancer_has_an_address_listeners_and_backends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_public_address_belongs_to_one_load_balancer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quotas_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_user_sees_and_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tags_and_security_groups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_meet_the_action_they_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_made_outlives_the_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_instance_that_is_gone_leaves_its_volumes, set_up, tear_down),
    };
    if (mkdtemp(directory) == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return 1;
    }
    state_path = xasprintf("%s/state.json", directory);
    int failed = cmocka_run_group_tests(list, NULL, NULL);
    (void)unlink(state_path);
    free(state_path);
    (void)rmdir(directory);
    curl_global_cleanup();
    return failed;
}
