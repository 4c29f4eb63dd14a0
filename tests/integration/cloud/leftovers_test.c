/* A cluster that is deleted: what its controllers made in the cloud goes, what the user keeps stays. The API server is
 * real and ends before `destroy`, as with AppCenter; the cloud's API is the lab's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/cloud/cloud.h"
#include "app/facts/facts.h"
#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cloud/load_balancers.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/system/file.h"
#include "tests/integration/cloud/account.h"
#include "tests/lab/shared/apiserver.h"
#include "tests/lab/shared/cloudapi.h"

static const struct role master = {.name = "master", .state = STATE_ON_DATA, .control_plane = true};
static struct apiserver server;
static struct cloudapi *api;
static struct conf conf;
static struct host hosts[] = {{.role = (char *)"master", .instance_id = (char *)"i-mas00001"},
                              {.role = (char *)"node", .instance_id = (char *)"i-nod00001"}};
static struct facts facts = CLOUD_FACTS(hosts);

static struct run new_run(void)
{
    return (struct run){
        .role = &master, .conf = &conf, .facts = &facts, .root = server.root, .deadline = deadline_in(120000)};
}

static json_t *cloud(const char *action, const struct cloud_parameter *parameters, size_t n)
{
    const struct cloud_account account = cloud_account_of(&facts);
    _cleanup_(cloud_freep) struct cloud *connection = NULL;
    _cleanup_error_ struct error *err = NULL;
    json_t *answer = NULL;
    assert_int_equal(cloud_open(&connection, &account, NULL), 0);
    if (cloud_call(connection, action, parameters, n, deadline_in(120000), &answer, &err) < 0) {
        fail_msg("%s: %s", action, err->message);
    }
    return answer;
}

#define CLOUD(action, ...)                                                                                             \
    cloud(action, (const struct cloud_parameter[]){__VA_ARGS__},                                                       \
          ELEMENTS(((const struct cloud_parameter[]){__VA_ARGS__})))

static char *status_of(const char *volume)
{
    _cleanup_json_ json_t *answer = CLOUD("DescribeVolumes", {"volumes.1", volume});
    const json_t *entry = json_array_get(json_object_get(answer, "volume_set"), 0);
    return xstrdup(json_text_or(entry, "status", "gone"));
}

static void wait_for(const char *volume, const char *wanted)
{
    struct deadline deadline = deadline_in(120000);
    for (;;) {
        _cleanup_free_ char *status = status_of(volume);
        if (strcmp(status, wanted) == 0) {
            return;
        }
        assert_true(deadline_left(deadline) > 0);
    }
}

static void assert_status(const char *volume, const char *wanted)
{
    _cleanup_free_ char *status = status_of(volume);
    assert_string_equal(status, wanted);
}

static bool is_gone(const char *volume)
{
    _cleanup_free_ char *status = status_of(volume);
    return strcmp(status, "deleted") == 0 || strcmp(status, "ceased") == 0 || strcmp(status, "gone") == 0;
}

/* INSTANCE: where it is attached; NULL: nowhere. The caller frees. */
static char *new_named_volume(const char *name, const char *instance)
{
    _cleanup_json_ json_t *made = CLOUD("CreateVolumes", {"size", "10"}, {"volume_type", "0"}, {"volume_name", name});
    char *id = xstrdup(json_string_value(json_array_get(json_object_get(made, "volumes"), 0)));
    wait_for(id, "available");
    if (instance != NULL) {
        _cleanup_json_ json_t *attached = CLOUD("AttachVolumes", {"instance", instance}, {"volumes.1", id});
        wait_for(id, "in-use");
    }
    return id;
}

static char *new_volume(const char *instance)
{
    return new_named_volume("v", instance);
}

static bool has_balancer(const char *name)
{
    _cleanup_json_ json_t *answer = CLOUD("DescribeLoadBalancers", {"search_word", name}, {"status.1", "active"});
    return json_array_size(json_object_get(answer, "loadbalancer_set")) > 0;
}

static void new_balancer(const char *name)
{
    _cleanup_json_ json_t *made = CLOUD("CreateLoadBalancer", {"loadbalancer_name", name}, {"vxnet", "vxnet-main001"},
                                        {"loadbalancer_type", "0"});
    struct deadline deadline = deadline_in(120000);
    while (!has_balancer(name)) {
        assert_true(deadline_left(deadline) > 0);
    }
}

static void post(const char *path, json_t *object, json_t **made)
{
    _cleanup_(kube_freep) struct kube *kube = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(apiserver_kube(&server, &kube, NULL), 0);
    if (kube_post(kube, path, object, deadline_in(120000), NULL, &err) < 0) {
        fail_msg("%s: %s", path, err->message);
    }
    if (made != NULL) {
        _cleanup_free_ char *of = xasprintf("%s/%s", path, json_text_at(object, "metadata", "name", NULL));
        assert_int_equal(kube_get(kube, of, deadline_in(120000), made, NULL, NULL), 0);
    }
    json_decref(object);
}

static void post_volume(const char *name, const char *id, const char *policy, bool dynamic)
{
    json_t *volume = json_pack(
        "{s{ss s{ss*}} s{s{ss} s[s] ss s{ss ss} s{ss ss}}}", "metadata", "name", name, "annotations",
        "pv.kubernetes.io/provisioned-by", dynamic ? "disk.csi.qingcloud.com" : NULL, "spec", "capacity", "storage",
        "10Gi", "accessModes", "ReadWriteOnce", "persistentVolumeReclaimPolicy", policy, "csi", "driver",
        "disk.csi.qingcloud.com", "volumeHandle", id, "claimRef", "namespace", "default", "name", name);
    post("/api/v1/persistentvolumes", volume, NULL);
}

/* The name that the cloud controller gives its load balancer. The caller frees. */
static char *post_service(const char *name, const char *annotation, const char *value)
{
    _cleanup_json_ json_t *made = NULL;
    json_t *service = json_pack("{s{ss s{ss*}} s{ss s[{si}]}}", "metadata", "name", name, "annotations", annotation,
                                value, "spec", "type", "LoadBalancer", "ports", "port", 80);
    post("/api/v1/namespaces/default/services", service, &made);
    const char *uid = json_text_at(made, "metadata", "uid", NULL);
    return xasprintf("k8s_lb_cl-1_default_%s_%.8s", name, uid);
}

static int set_up(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *data = json_pack(
        "{s:{s:s}, s:[s], s:s, s:[{s:s,s:s}], s:[{s:s,s:i},{s:s,s:i}]}", "keys", KEY, SECRET, "zones", "pek3a",
        "lb_network", "192.168.100", "vxnets", "vxnet_id", "vxnet-main001", "vpc_router_id", "rtr-1", "instances",
        "instance_id", "i-nod00001", "instance_class", 0, "instance_id", "i-elsewhere", "instance_class", 0);
    if (apiserver_start(&server, &err) < 0 || cloudapi_start(&api, "127.0.0.1", 0, data, &err) < 0) {
        print_error("%s\n", err->message);
        return -1;
    }
    _cleanup_json_ json_t *faults = json_pack("{s:i}", "job_ms", 100);
    cloudapi_faults(api, faults);
    _cleanup_free_ char *directory = path_join(server.root, STATE_ON_DATA);
    facts.cluster.api_port = cloudapi_port(api);
    return dir_make(directory, 0700, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    cloudapi_stop(api);
    apiserver_stop(&server);
    return 0;
}

static int record(void)
{
    struct run run = new_run();
    (void)apiserver_kube(&server, &run.kube, NULL);
    int result = step_record_cloud_resources.apply(&run, NULL);
    kube_free(run.kube);
    return result;
}

static int destroy(bool force, struct error **err)
{
    struct run run = new_run();
    run.force = force;
    return step_delete_cloud_resources.apply(&run, err);
}

/* What destroy prints; the caller frees. */
static char *destroy_printed(void)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    _cleanup_close_ int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    int result = destroy(false, NULL);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    struct buffer text = {0};
    buffer_puts(&text, "");
    char chunk[1024];
    rewind(file);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, file)) > 0;) {
        buffer_append(&text, chunk, n);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(result, 0);
    return text.data;
}

static void assert_stays(const char *printed, const char *id, const char *of, const char *why)
{
    _cleanup_free_ char *line = xasprintf("%s of %s stays: %s\n", id, of, why);
    if (strstr(printed, line) == NULL) {
        fail_msg("not printed: %s in:\n%s", line, printed);
    }
}

static void without_a_record_nothing_is_deleted_and_all_is_named(void **state)
{
    (void)state;
    static const char balancer[] = "k8s_lb_cl-1_default_unrecorded_12345678";
    static const char of_others[] = "k8s_lb_cl-10_default_unrecorded_12345678";
    _cleanup_free_ char *volume = new_named_volume("pvc-1", "i-nod00001");
    _cleanup_free_ char *elsewhere = new_named_volume("pvc-2", "i-elsewhere");
    _cleanup_free_ char *detached = new_named_volume("pvc-3", NULL);
    _cleanup_free_ char *own = new_volume("i-nod00001");
    new_balancer(balancer);
    new_balancer(of_others);
    _cleanup_free_ char *printed = destroy_printed();
    assert_status(volume, "in-use");
    assert_true(has_balancer(balancer));
    _cleanup_free_ char *named = xasprintf("%s (pvc-1) may be left\n", volume);
    _cleanup_free_ char *of_anyone =
        xasprintf("%s (pvc-3) may be left, of this cluster or another: no instance has it\n", detached);
    assert_non_null(strstr(printed, named));
    assert_non_null(strstr(printed, of_anyone));
    assert_non_null(strstr(printed, "(k8s_lb_cl-1_default_unrecorded_12345678) may be left\n"));
    assert_null(strstr(printed, of_others));
    assert_null(strstr(printed, elsewhere));
    assert_null(strstr(printed, own));
}

/* Nothing is in the way of the cluster's end. */
static void a_cloud_that_is_down_is_no_failure_without_a_record(void **state)
{
    (void)state;
    _cleanup_json_ json_t *down = json_pack("{s:{s:{s:i, s:s}}}", "actions", "DescribeLoadBalancers", "ret_code", 5300,
                                            "message", "it is down for the test");
    _cleanup_json_ json_t *up = json_pack("{s:i}", "job_ms", 100);
    cloudapi_faults(api, down);
    _cleanup_free_ char *printed = destroy_printed();
    cloudapi_faults(api, up);
    assert_non_null(strstr(printed, "it is down for the test"));
}

static void a_deleted_cluster_leaves_what_the_user_keeps(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *attached = new_volume("i-nod00001");
    _cleanup_free_ char *available = new_volume(NULL);
    _cleanup_free_ char *retained = new_volume("i-nod00001");
    _cleanup_free_ char *own = new_volume(NULL);
    _cleanup_free_ char *unknown = new_volume(NULL);
    post_volume("attached", attached, "Delete", true);
    post_volume("available", available, "Delete", true);
    post_volume("retained", retained, "Retain", true);
    post_volume("own", own, "Delete", false);
    post_volume("gone", "vol-gone", "Delete", true);
    _cleanup_free_ char *web = post_service("web", BALANCER_NETWORK, "internal");
    _cleanup_free_ char *shared = post_service("shared", BALANCER "id", "lb-mine");
    new_balancer(web);
    new_balancer(shared);
    new_balancer("k8s_lb_cl-2_default_web_12345678");

    assert_int_equal(record(), 0);
    if (destroy(false, &err) < 0) {
        fail_msg("%s", err->message);
    }
    assert_true(is_gone(attached));
    assert_true(is_gone(available));
    assert_status(retained, "in-use");
    assert_status(own, "available");
    assert_status(unknown, "available");
    assert_false(has_balancer(web));
    assert_true(has_balancer(shared));
    assert_true(has_balancer("k8s_lb_cl-2_default_web_12345678"));
    /* again: there is nothing more to do, and what stays is named with the reason */
    _cleanup_free_ char *printed = destroy_printed();
    assert_stays(printed, retained, "claim default/retained", "its reclaim policy is not Delete");
    assert_stays(printed, own, "claim default/own", "it was not made by the cluster");
    assert_stays(printed, "lb-mine", "service default/shared", "it was not made by the cluster");
}

static void what_cannot_be_deleted_is_named(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *elsewhere = new_volume("i-elsewhere");
    _cleanup_free_ char *other = new_volume(NULL);
    post_volume("elsewhere", elsewhere, "Delete", true);
    post_volume("other", other, "Delete", true);
    assert_int_equal(record(), 0);
    assert_int_equal(destroy(false, &err), -1);
    assert_int_equal(err->status, STATUS_CLOUD_UNREACHABLE);
    assert_non_null(strstr(err->message, elsewhere));
    assert_non_null(strstr(err->message, "default/elsewhere"));
    assert_null(strstr(err->message, other));
    assert_true(is_gone(other));
    assert_status(elsewhere, "in-use");
    assert_int_equal(destroy(true, NULL), 0);
    assert_status(elsewhere, "in-use");
}

/* What `start` does before the kubelet. */
static void start_cluster(void)
{
    struct run run = new_run();
    if (step_expire_cloud_resources.done(&run, NULL) == 0) {
        assert_int_equal(step_expire_cloud_resources.apply(&run, NULL), 0);
    }
    assert_int_equal(step_expire_cloud_resources.done(&run, NULL), 1);
}

/* From here on the API server is dead. AppCenter stops a cluster again when its deletion is tried again. */
static void a_second_stop_keeps_the_record(void **state)
{
    (void)state;
    _cleanup_free_ char *volume = new_volume(NULL);
    post_volume("twice", volume, "Delete", true);
    assert_int_equal(record(), 0);

    (void)kill(server.api, SIGKILL);
    assert_int_equal(record(), 0);
    /* the volume of the test before is still attached elsewhere */
    assert_int_equal(destroy(true, NULL), 0);
    assert_true(is_gone(volume));
}

static void a_stop_that_cannot_read_the_cluster_deletes_nothing(void **state)
{
    (void)state;
    start_cluster();
    _cleanup_free_ char *volume = new_volume(NULL);
    assert_int_equal(record(), 0);
    assert_int_equal(destroy(false, NULL), 0);
    assert_status(volume, "available");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_record_nothing_is_deleted_and_all_is_named),
        cmocka_unit_test(a_cloud_that_is_down_is_no_failure_without_a_record),
        cmocka_unit_test(a_deleted_cluster_leaves_what_the_user_keeps),
        cmocka_unit_test(what_cannot_be_deleted_is_named),
        cmocka_unit_test(a_second_stop_keeps_the_record),
        cmocka_unit_test(a_stop_that_cannot_read_the_cluster_deletes_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
