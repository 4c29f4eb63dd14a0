/* What scale-in and a new machine do to the cluster, against a real API server; Elasticsearch's part is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/clients/pods.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cluster/leaving.h"
#include "hooks/steps/node/node_ready.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "tests/integration/api_objects.h"
#include "tests/lab/shared/apiserver.h"
#include "tests/lab/shared/cluster.h"

static struct apiserver server;
static const struct role master = {.name = "master", .state = "/data/kubernetes/hooks", .control_plane = true};
static struct conf conf;
static struct run run;

static void must(int result, struct error **err)
{
    if (result < 0) {
        fail_msg("%s", *err == NULL ? "no reason given" : (*err)->message);
    }
}

static void post(const char *collection, const char *text)
{
    object_post(run.kube, collection, text);
}

/* NULL where there is none. */
static json_t *get(const char *path)
{
    return object_get(run.kube, path);
}

/* A node whose Ready has been STATUS for AGO seconds. */
static void make_node(const char *name, const char *status, int ago, const char *spec, const char *annotations)
{
    char since[32];
    time_t at = time(NULL) - ago;
    struct tm tm;
    (void)strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
    _cleanup_free_ char *text = xasprintf(
        "{\"metadata\": {\"name\": \"%s\", \"annotations\": %s}, \"spec\": %s, \"status\": {\"volumesAttached\": "
        "[{\"name\": "
        "\"v\", \"devicePath\": \"\"}], \"volumesInUse\": [\"v\"], \"conditions\": [{\"type\": \"Ready\", \"status\": "
        "\"%s\", \"lastTransitionTime\": \"%s\", \"lastHeartbeatTime\": \"%s\"}]}}",
        name, annotations, spec, status, since, since);
    post("/api/v1/nodes", text);
}

static void make_pod(const char *name, const char *node, int grace)
{
    _cleanup_free_ char *text = xasprintf(
        "{\"metadata\": {\"name\": \"%s\"}, \"spec\": {\"nodeName\": \"%s\", \"terminationGracePeriodSeconds\": %d, "
        "\"automountServiceAccountToken\": false, \"containers\": [{\"name\": \"c\", \"image\": \"busybox\"}]}}",
        name, node, grace);
    post("/api/v1/namespaces/default/pods", text);
}

static void make_attachment(const char *name, const char *node)
{
    _cleanup_free_ char *text =
        xasprintf("{\"metadata\": {\"name\": \"%s\", \"finalizers\": [\"external-attacher/disk-csi-qingcloud-com\"]}, "
                  "\"spec\": {\"attacher\": \"disk.csi.qingcloud.com\", \"nodeName\": \"%s\", \"source\": "
                  "{\"persistentVolumeName\": \"pv-%s\"}}}",
                  name, node, name);
    post("/apis/storage.k8s.io/v1/volumeattachments", text);
}

/* The cluster of three log nodes and more, seen by its master; hosts whose node name is in LEAVING are leaving. */
static void see(const char *const *leaving)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *cluster = cluster_load("three-logs", &err);
    assert_non_null(cluster);
    cluster_generate(cluster, "node", 4);
    cluster_generate(cluster, "log", 4);
    _cleanup_json_ json_t *view = cluster_view(cluster, "master", 1);
    facts_freep(&run.facts);
    must(facts_load(&run.facts, view, &conf, &err), &err);
    run.facts->n_logs = 0;
    for (size_t i = 0; i < run.facts->n_hosts; i++) {
        struct host *host = &run.facts->hosts[i];
        for (const char *const *name = leaving; *name != NULL; name++) {
            host->deleting = host->deleting || strcmp(host->node_name, *name) == 0;
        }
        run.facts->n_logs += host->is->log && !host->deleting;
    }
}

static int set_up(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    if (apiserver_start(&server, &err) < 0) {
        print_error("%s\n", err->message);
        apiserver_stop(&server);
        return -1;
    }
    log_open("test", NULL, NULL, LOG_LEVEL_ERROR);
    conf.paths.opt = path_join(server.root, "opt/kubernetes");
    conf.addons.skip = xcalloc(1, sizeof *conf.addons.skip);
    conf.timeouts.drain_s = 120;
    conf.timeouts.api_s = 120;
    run = (struct run){
        .role = &master, .conf = &conf, .root = server.root, .deadline = deadline_in(1500000)}; /* of all tests */
    if (apiserver_kube(&server, &run.kube, NULL) < 0) {
        return -1;
    }
    /* What the controller manager makes elsewhere. */
    post("/api/v1/namespaces/default/serviceaccounts", "{\"metadata\": {\"name\": \"default\"}}");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    facts_freep(&run.facts);
    kube_freep(&run.kube);
    apiserver_stop(&server);
    free(conf.paths.opt);
    strv_free(conf.addons.skip);
    return 0;
}

static bool dead(const char *status, int ago)
{
    char since[32];
    time_t now = time(NULL);
    time_t at = now - ago;
    struct tm tm;
    (void)strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
    _cleanup_json_ json_t *node =
        json_pack("{s{s[{ss ss ss}{ss ss ss}]}}", "status", "conditions", "type", "MemoryPressure", "status", "Unknown",
                  "lastTransitionTime", since, "type", "Ready", "status", status, "lastTransitionTime", since);
    return node_dead(node, now);
}

static void a_kubelet_is_gone_when_it_has_not_reported_for_long_enough(void **state)
{
    (void)state;
    _cleanup_json_ json_t *silent = json_object();
    assert_true(dead("Unknown", 61));
    assert_false(dead("Unknown", 50));
    assert_true(dead("False", 301));
    assert_false(dead("False", 250));
    assert_false(dead("True", 100000));
    assert_false(node_dead(silent, time(NULL)));
}

static void a_dead_node_leaves_with_its_pods_and_attachments(void **state)
{
    (void)state;
    static const char *const leaving[] = {"node-2", NULL};
    _cleanup_error_ struct error *err = NULL;
    make_node("node-2", "Unknown", 90, "{}", "{}");
    make_node("node-1", "True", 90, "{}", "{}");
    make_pod("stuck", "node-2", 30);
    make_pod("other", "node-1", 30);
    make_attachment("on-node-2", "node-2");
    make_attachment("on-node-1", "node-1");
    see(leaving);
    must(step_check_scale_in.apply(&run, &err), &err);
    must(step_delete_nodes.apply(&run, &err), &err);
    _cleanup_json_ json_t *node = get("/api/v1/nodes/node-2");
    _cleanup_json_ json_t *stuck = get("/api/v1/namespaces/default/pods/stuck");
    _cleanup_json_ json_t *other = get("/api/v1/namespaces/default/pods/other");
    _cleanup_json_ json_t *gone = get("/apis/storage.k8s.io/v1/volumeattachments/on-node-2");
    _cleanup_json_ json_t *kept = get("/apis/storage.k8s.io/v1/volumeattachments/on-node-1");
    assert_null(node);
    assert_null(stuck);
    assert_non_null(other);
    assert_null(json_text_at(kept, "metadata", "deletionTimestamp", NULL));
    /* Its machine is still there: the driver has to detach, so the object waits for it. */
    assert_non_null(json_text_at(gone, "metadata", "deletionTimestamp", NULL));
    must(step_delete_nodes.apply(&run, &err), &err);
}

static void a_node_whose_pods_do_not_end_stays_and_is_uncordoned(void **state)
{
    (void)state;
    static const char *const leaving[] = {"node-3", NULL};
    _cleanup_error_ struct error *err = NULL;
    make_node("node-3", "True", 90, "{}", "{}");
    make_pod("slow", "node-3", 30);
    see(leaving);
    conf.timeouts.drain_s = 2;
    assert_int_equal(step_delete_nodes.apply(&run, &err), -1);
    conf.timeouts.drain_s = 120;
    assert_int_equal(err->status, STATUS_SCALE_IN_DRAIN);
    _cleanup_json_ json_t *node = get("/api/v1/nodes/node-3");
    assert_non_null(node);
    assert_false(json_is_true(json_object_get(json_object_get(node, "spec"), "unschedulable")));
}

/* In kubectl's place: what it drains is there again at once, as with a pod that names its node itself. */
static void pods_that_come_back_refuse_unless_they_are_given_up(void **state)
{
    (void)state;
    static const char text[] = "#!/bin/sh\nexit 0\n";
    static const char *const leaving[] = {"ssd-node-1", NULL};
    _cleanup_error_ struct error *err = NULL;
    char *opt = conf.paths.opt;
    _cleanup_free_ char *played = path_join(server.root, "drain-in-vain");
    _cleanup_free_ char *bin = path_join(played, "bin/kubectl");
    const struct file_spec spec = {.path = bin, .data = text, .len = strlen(text), .mode = 0755};
    must(file_put(&spec, NULL, &err), &err);
    make_node("ssd-node-1", "True", 90, "{}", "{}");
    make_pod("pinned", "ssd-node-1", 30);
    see(leaving);
    conf.paths.opt = played;
    assert_int_equal(node_evacuate(&run, "ssd-node-1", &err), -1);
    assert_int_equal(err->status, STATUS_DESTROY_PODS);
    assert_non_null(strstr(err->message, "default/pinned"));
    error_freep(&err);
    err = NULL;
    _cleanup_json_ json_t *patch = json_pack("{s{s{ss}}}", "metadata", "annotations", DISCARD_ANNOTATION, "true");
    must(kube_merge_patch(run.kube, "/api/v1/nodes/ssd-node-1", patch, deadline_in(120000), &err), &err);
    must(node_evacuate(&run, "ssd-node-1", &err), &err);
    conf.paths.opt = opt;
}

/* Pod NAME on node-4, whose claim is bound to a volume of SOURCE. */
static void make_pod_with_volume(const char *name, const char *source)
{
    _cleanup_free_ char *volume =
        xasprintf("{\"metadata\": {\"name\": \"pv-%s\"}, \"spec\": {\"capacity\": {\"storage\": \"1Gi\"}, "
                  "\"accessModes\": [\"ReadWriteOnce\"], %s}}",
                  name, source);
    _cleanup_free_ char *claim =
        xasprintf("{\"metadata\": {\"name\": \"%s\"}, \"spec\": {\"accessModes\": [\"ReadWriteOnce\"], \"resources\": "
                  "{\"requests\": {\"storage\": \"1Gi\"}}, \"volumeName\": \"pv-%s\"}}",
                  name, name);
    _cleanup_free_ char *pod = xasprintf(
        "{\"metadata\": {\"name\": \"%s\"}, \"spec\": {\"nodeName\": \"node-4\", "
        "\"terminationGracePeriodSeconds\": 0, \"automountServiceAccountToken\": false, \"containers\": [{\"name\": "
        "\"c\", \"image\": \"busybox\"}], \"volumes\": [{\"name\": \"v\", \"persistentVolumeClaim\": {\"claimName\": "
        "\"%s\"}}]}}",
        name, name);
    post("/api/v1/persistentvolumes", volume);
    post("/api/v1/namespaces/default/persistentvolumeclaims", claim);
    post("/api/v1/namespaces/default/pods", pod);
}

static void assert_scale_in_refused(int status, const char *text)
{
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(step_check_scale_in.apply(&run, &err), -1);
    assert_int_equal(err->status, status);
    if (strstr(err->message, text) == NULL) {
        fail_msg("%s", err->message);
    }
}

static void data_on_the_node_itself_refuses_scale_in(void **state)
{
    (void)state;
    static const char *const leaving[] = {"node-4", NULL};
    _cleanup_error_ struct error *err = NULL;
    make_node("node-4", "True", 90, "{}", "{}");
    see(leaving);
    make_pod_with_volume("disk", "\"csi\": {\"driver\": \"disk.csi.qingcloud.com\", \"volumeHandle\": \"vol-1\"}");
    must(step_check_scale_in.apply(&run, &err), &err);
    make_pod_with_volume("path", "\"hostPath\": {\"path\": \"/data/path\"}");
    assert_scale_in_refused(STATUS_SCALE_IN_VOLUME, "node node-4: pod default/path keeps its data in volume pv-path");
    must(kube_delete(run.kube, "/api/v1/namespaces/default/pods/path", deadline_in(120000), &(long){0}, &err), &err);
    make_pod_with_volume("local", "\"local\": {\"path\": \"/data/local\"}, \"nodeAffinity\": {\"required\": "
                                  "{\"nodeSelectorTerms\": [{\"matchExpressions\": [{\"key\": "
                                  "\"kubernetes.io/hostname\", \"operator\": \"In\", \"values\": [\"node-4\"]}]}]}}");
    assert_scale_in_refused(STATUS_SCALE_IN_VOLUME, "pod default/local keeps its data in volume pv-local");
    must(kube_delete(run.kube, "/api/v1/namespaces/default/pods/local", deadline_in(120000), &(long){0}, &err), &err);
    must(step_check_scale_in.apply(&run, &err), &err);
}

static void scale_in_refuses_the_master_and_too_few_that_stay(void **state)
{
    (void)state;
    static const char *const master_leaves[] = {"master-1", "node-2", NULL};
    static const char *const workers_leave[] = {"node-1", "node-2", "node-3", "node-4", NULL};
    static const char *const logs_leave[] = {"log-1", "log-2", "log-3", NULL};
    see(master_leaves);
    assert_scale_in_refused(STATUS_SCALE_IN_MASTER, "the master 192.168.0.2");
    see(workers_leave);
    assert_scale_in_refused(STATUS_SCALE_IN_MINIMUM, "0 worker nodes would be left");
    see(logs_leave);
    assert_scale_in_refused(STATUS_SCALE_IN_MINIMUM, "1 log node would be left");
}

/* With no other log node there is nowhere for its data to go, so `destroy` of that machine is where it would be lost.
 */
static void the_last_log_node_is_not_deleted_with_its_data(void **state)
{
    (void)state;
    static const char *const leaving[] = {"log-1", "log-2", "log-3", "log-4", NULL};
    _cleanup_error_ struct error *err = NULL;
    see(leaving);
    struct host *self = (struct host *)facts_node(run.facts, "log-4");
    run.facts->self = self;
    must(step_check_log_data.apply(&run, &err), &err);
    _cleanup_free_ char *path = path_join(server.root, DATA_ELASTICSEARCH "/nodes/0/node.lock");
    must(file_put_private(path, "", &err), &err);
    assert_int_equal(step_check_log_data.apply(&run, &err), -1);
    assert_int_equal(err->status, STATUS_DESTROY_DATA);
    assert_non_null(strstr(err->message, DATA_ELASTICSEARCH " is not empty"));
    error_freep(&err);
    err = NULL;
    run.force = true;
    must(step_check_log_data.apply(&run, &err), &err);
    run.force = false;
    self->deleting = false; /* the whole cluster is deleted */
    must(step_check_log_data.apply(&run, &err), &err);
    self->deleting = true;
    make_node("log-4", "True", 90, "{}", "{\"" DISCARD_ANNOTATION "\": \"true\"}");
    must(step_check_log_data.apply(&run, &err), &err);
}

static void make_csinode(const char *name, const char *uid, const char *instance)
{
    _cleanup_free_ char *text = xasprintf("{\"metadata\": {\"name\": \"%s\", \"ownerReferences\": [{\"apiVersion\": "
                                          "\"v1\", \"kind\": \"Node\", \"name\": "
                                          "\"%s\", \"uid\": \"%s\"}]}, \"spec\": {\"drivers\": [{\"name\": "
                                          "\"disk.csi.qingcloud.com\", \"nodeID\": \"%s\"}, "
                                          "{\"name\": \"other.example.com\", \"nodeID\": \"%s\"}]}}",
                                          name, name, uid, instance, name);
    post("/apis/storage.k8s.io/v1/csinodes", text);
}

static void check_new_machine(const char *name, const char *former_uid, bool replaced)
{
    _cleanup_free_ char *node_path = xasprintf("/api/v1/nodes/%s", name);
    _cleanup_free_ char *csinode_path = xasprintf("/apis/storage.k8s.io/v1/csinodes/%s", name);
    _cleanup_free_ char *attachment_path = xasprintf("/apis/storage.k8s.io/v1/volumeattachments/of-%s", name);
    _cleanup_json_ json_t *node = get(node_path);
    _cleanup_json_ json_t *csinode = get(csinode_path);
    _cleanup_json_ json_t *attachment = get(attachment_path);
    const char *uid = json_text_at(node, "metadata", "uid", NULL);
    const json_t *status = json_object_get(node, "status");
    const json_t *owners = json_object_get(json_object_get(csinode, "metadata"), "ownerReferences");
    const json_t *drivers = json_object_get(json_object_get(csinode, "spec"), "drivers");
    assert_null(attachment);
    assert_int_equal(strcmp(uid, former_uid) != 0, replaced);
    assert_null(json_object_get(status, "volumesAttached"));
    assert_null(json_object_get(status, "volumesInUse"));
    assert_non_null(json_object_get(status, "conditions"));
    assert_string_equal(json_text_at(node, "metadata", "annotations", INSTANCE_ANNOTATION, NULL),
                        facts_node(run.facts, name)->instance_id);
    assert_string_equal(json_text_at(node, "metadata", "annotations", "a-users", NULL), "own");
    assert_int_equal(json_array_size(owners), 1);
    assert_string_equal(json_text(json_array_get(owners, 0), "uid"), uid);
    assert_int_equal(json_array_size(drivers), 1);
    assert_string_equal(json_text(json_array_get(drivers, 0), "name"), "other.example.com");
}

static void what_names_a_former_machine_goes_before_pods_start(void **state)
{
    (void)state;
    static const char *const nobody[] = {NULL};
    _cleanup_error_ struct error *err = NULL;
    char uids[2][64];
    static const char *const names[] = {"log-1", "log-2"};
    see(nobody);
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        _cleanup_free_ char *annotations =
            xasprintf("{\"" INSTANCE_ANNOTATION "\": \"i-old%zu\", \"a-users\": \"own\"}", i);
        _cleanup_free_ char *old = xasprintf("i-old%zu", i);
        _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", names[i]);
        _cleanup_free_ char *attachment = xasprintf("of-%s", names[i]);
        make_node(names[i], "True", 90, i == 0 ? "{\"providerID\": \"qingcloud://i-old0\"}" : "{}", annotations);
        _cleanup_json_ json_t *node = get(path);
        (void)snprintf(uids[i], sizeof uids[i], "%s", json_text_at(node, "metadata", "uid", NULL));
        make_csinode(names[i], uids[i], old);
        make_attachment(attachment, names[i]);
    }
    assert_int_equal(step_set_provider_ids.done(&run, &err), 0);
    must(step_set_provider_ids.apply(&run, &err), &err);
    check_new_machine("log-1", uids[0], true);
    check_new_machine("log-2", uids[1], false);
    assert_int_equal(step_set_provider_ids.done(&run, &err), 1);
}

/* READY as it was reported AGO seconds before now, in the boot BOOT. */
static bool ready(const char *status, int ago, const char *boot, time_t started)
{
    char at[32];
    time_t when = time(NULL) - ago;
    struct tm tm;
    const char *why = NULL;
    (void)strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &tm));
    _cleanup_json_ json_t *node = json_pack("{s{s{ss} s[{ss ss ss}]}}", "status", "nodeInfo", "bootID", boot,
                                            "conditions", "type", "Ready", "status", status, "lastHeartbeatTime", at);
    bool is = node_reported_ready(node, "this-boot", started, &why);
    assert_int_equal(is, why == NULL);
    return is;
}

static void a_report_of_an_earlier_kubelet_does_not_count(void **state)
{
    (void)state;
    time_t started = time(NULL) - 60;
    _cleanup_json_ json_t *empty = json_object();
    const char *why = NULL;
    assert_true(ready("True", 10, "this-boot", started));
    assert_false(ready("True", 70, "this-boot", started));
    assert_false(ready("True", 10, "that-boot", started));
    assert_false(ready("False", 10, "this-boot", started));
    assert_false(ready("Unknown", 10, "this-boot", started));
    assert_false(node_reported_ready(empty, "this-boot", started, &why));
}

static void when_a_process_was_started_is_known(void **state)
{
    (void)state;
    time_t before = time(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    time_t started = process_started(pid);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_in_range(started, before - 1, time(NULL) + 1);
    assert_int_equal(process_started(pid), 0);
}

/* Expects of pod_address_refusal what WANTED says. */
static void assert_refusal(const char *wanted)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *refusal = NULL;
    must(pod_address_refusal(run.kube, run.facts, deadline_in(120000), &refusal, &err), &err);
    assert_string_equal(refusal == NULL ? "" : refusal, wanted);
}

static void a_pod_that_waits_for_a_refused_address_is_named(void **state)
{
    (void)state;
    static const char event[] =
        "{\"metadata\": {\"name\": \"%s\"}, \"reason\": \"FailedCreatePodSandBox\", \"involvedObject\": "
        "{\"namespace\": "
        "\"default\", \"uid\": \"%s\"}, \"message\": \"network: failed to alloc addr: QuotaExceeded\"}";
    make_pod("late", "node-9", 0);
    _cleanup_json_ json_t *pod = get("/api/v1/namespaces/default/pods/late");
    _cleanup_free_ char *of_another = xasprintf(event, "former", "other-uid");
    _cleanup_free_ char *of_it = xasprintf(event, "late", json_text_at(pod, "metadata", "uid", NULL));
    _cleanup_json_ json_t *patch = json_pack("{s{ss}}", "status", "podIP", "10.1.0.9");
    post("/api/v1/namespaces/default/events", of_another);
    assert_refusal("");
    post("/api/v1/namespaces/default/events", of_it);
    assert_refusal("default/late on node-9: failed to alloc addr: QuotaExceeded");
    assert_int_equal(
        kube_merge_patch(run.kube, "/api/v1/namespaces/default/pods/late/status", patch, deadline_in(120000), NULL), 0);
    assert_refusal("");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kubelet_is_gone_when_it_has_not_reported_for_long_enough),
        cmocka_unit_test(a_dead_node_leaves_with_its_pods_and_attachments),
        cmocka_unit_test(a_node_whose_pods_do_not_end_stays_and_is_uncordoned),
        cmocka_unit_test(pods_that_come_back_refuse_unless_they_are_given_up),
        cmocka_unit_test(data_on_the_node_itself_refuses_scale_in),
        cmocka_unit_test(scale_in_refuses_the_master_and_too_few_that_stay),
        cmocka_unit_test(the_last_log_node_is_not_deleted_with_its_data),
        cmocka_unit_test(a_report_of_an_earlier_kubelet_does_not_count),
        cmocka_unit_test(when_a_process_was_started_is_known),
        cmocka_unit_test(a_pod_that_waits_for_a_refused_address_is_named),
        cmocka_unit_test(what_names_a_former_machine_goes_before_pods_start),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
