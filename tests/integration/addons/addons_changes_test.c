/* A cluster that goes through changes of its parameters, on a real API server. */
#include "hooks/addons/addons_state.h"
#include "lib/core/json.h"
#include "lib/crypto/crypto.h"
#include "lib/system/proc.h"
#include "tests/integration/addons/manifests_fixture.h"

static json_t *object(const char *kind, const char *name)
{
    const struct run run = new_run();
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *output = NULL;
    const char *const get[] = {"get", kind, name, "--namespace=kube-system", "--output=json", "--ignore-not-found",
                               NULL};
    must(kubectl(&run, get, NULL, &output, &err), &err);
    return str_empty(output) ? NULL : json_loads(output, 0, NULL);
}

static void assert_member(const char *kind, const char *name, const char *path, const char *expected)
{
    _cleanup_json_ json_t *value = object(kind, name);
    assert_non_null(value);
    _cleanup_free_ char *is = member(value, path);
    if (expected == NULL) {
        assert_null(is);
    } else {
        assert_non_null(is);
        assert_string_equal(is, expected);
    }
}

static void assert_absent(const char *kind, const char *name)
{
    _cleanup_json_ json_t *value = object(kind, name);
    assert_null(value);
}

static void apply_cluster(const json_t *cluster)
{
    struct run run = new_run();
    _cleanup_json_ json_t *context = context_of(cluster);
    _cleanup_error_ struct error *err = NULL;
    _cleanup_(addons_plan_freep) struct addons_plan *plan = NULL;
    _cleanup_(addons_plan_freep) struct addons_plan *again = NULL;
    must(addons_plan_make(&plan, &run, context, &err), &err);
    must(addons_plan_apply(plan, &err), &err);
    must(addons_plan_make(&again, &run, context, &err), &err);
    assert_true(addons_plan_empty(again));
}

static void set(json_t *cluster, const char *key, const char *value)
{
    json_object_set_new(json_object_get(cluster, "env"), key, json_string(value));
}

/* Logs go to log nodes, then to an address, then to a name, and back: one service keeps its name all the time. */
static void test_elasticsearch_moves(void **state)
{
    (void)state;
    _cleanup_json_ json_t *nodes = load("three-logs");
    _cleanup_json_ json_t *address = load("smallest");
    _cleanup_json_ json_t *name = load("es-server");
    apply_cluster(nodes);
    assert_member("service", "elasticsearch-logging", "spec.clusterIP", "10.96.0.11");
    assert_member("service", "elasticsearch-logging", "spec.selector.k8s-app", "elasticsearch-logging");
    assert_member("statefulset", "elasticsearch-logging", "spec.replicas", "3");

    apply_cluster(address);
    assert_absent("statefulset", "elasticsearch-logging");
    assert_member("service", "elasticsearch-logging", "spec.clusterIP", "10.96.0.11");
    assert_member("service", "elasticsearch-logging", "spec.selector.k8s-app", NULL);
    _cleanup_json_ json_t *context = context_of(address);
    _cleanup_free_ char *host = member(context, "logging.host");
    assert_member("endpoints", "elasticsearch-logging", "subsets.0.addresses.0.ip", host);

    apply_cluster(name);
    assert_absent("endpoints", "elasticsearch-logging");
    assert_member("service", "elasticsearch-logging", "spec.type", "ExternalName");
    assert_member("service", "elasticsearch-logging", "spec.externalName", "es.example.com");

    apply_cluster(nodes);
    assert_member("service", "elasticsearch-logging", "spec.type", "ClusterIP");
    assert_member("service", "elasticsearch-logging", "spec.clusterIP", "10.96.0.11");
    assert_member("service", "elasticsearch-logging", "spec.externalName", NULL);
}

/* Releases up to the one that got `prune-logs` had this among their add-ons. */
static void add_curator(const char *roles, const char *templates)
{
    static const char addon[] = "\naddon \"curator\" { templates = {\"efk/curator.yaml.mustache\"} }\n";
    static const char objects[] =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: curator, namespace: kube-system}\n---\n"
        "apiVersion: batch/v1beta1\nkind: CronJob\n"
        "metadata: {name: curator, namespace: kube-system}\n"
        "spec: {schedule: \"10 1 * * *\", jobTemplate: {spec: {template: {spec: {restartPolicy: "
        "Never, containers: [{name: curator, image: curator}]}}}}}\n";
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *list = path_join(roles, "addons.conf");
    _cleanup_free_ char *template = path_join(templates, "efk/curator.yaml.mustache");
    FILE *file = fopen(list, "a");
    assert_non_null(file);
    assert_true(fputs(addon, file) >= 0);
    assert_int_equal(fclose(file), 0);
    must(file_put_private(template, objects, &err), &err);
}

static void test_addon_of_a_former_release_is_deleted(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *cluster = load("es-server");
    const struct conf today = conf;
    _cleanup_free_ char *roles = path_join(server.root, "former-roles");
    _cleanup_free_ char *templates = path_join(server.root, "former-templates");
    must(proc_exec(deadline_in(120000), &err, "cp", "-r", conf.paths.roles, roles, NULL), &err);
    must(proc_exec(deadline_in(120000), &err, "cp", "-r", conf.paths.templates, templates, NULL), &err);
    add_curator(roles, templates);
    conf.paths.roles = roles;
    conf.paths.templates = templates;
    apply_cluster(cluster);
    assert_member("configmap", "curator", "metadata.name", "curator");
    assert_member("cronjob", "curator", "metadata.name", "curator");

    conf = today;
    apply_cluster(cluster);
    assert_absent("configmap", "curator");
    assert_absent("cronjob", "curator");
    assert_member("configmap", "fluent-bit", "metadata.name", "fluent-bit");
}

static char *checksum(const char *name)
{
    _cleanup_json_ json_t *set = object("daemonset", name);
    json_t *annotations = json_object_get(
        json_object_get(json_object_get(json_object_get(set, "spec"), "template"), "metadata"), "annotations");
    return xstrdup(json_text(annotations, "checksum/config"));
}

static void test_forward_server_restarts_fluent_bit(void **state)
{
    (void)state;
    _cleanup_json_ json_t *cluster = load("three-logs");
    set(cluster, "fluent_forward_server", "");
    apply_cluster(cluster);
    _cleanup_free_ char *without = checksum("fluent-bit");
    set(cluster, "fluent_forward_server", "192.168.0.99:24224");
    apply_cluster(cluster);
    _cleanup_free_ char *with = checksum("fluent-bit");
    assert_string_not_equal(without, with);
    set(cluster, "fluent_forward_server", "");
    apply_cluster(cluster);
    _cleanup_free_ char *again = checksum("fluent-bit");
    assert_string_equal(without, again);
}

/* A cluster's network stays what it is (enable_hostnic cannot be changed), and here nothing ends flannel's namespace.
 */
static int start_another_cluster(void **state)
{
    tear_down(state);
    return set_up(state);
}

/* Its pods read the API key when they start, and follow vxnets while they run. */
static void test_api_key_restarts_hostnic(void **state)
{
    (void)state;
    _cleanup_json_ json_t *cluster = load("hostnic");
    apply_cluster(cluster);
    _cleanup_free_ char *before = checksum("hostnic-node");
    set(cluster, "pod_vxnets", "vxnet-pods01 vxnet-pods02 vxnet-pods03");
    apply_cluster(cluster);
    _cleanup_free_ char *more = checksum("hostnic-node");
    assert_string_equal(before, more);
    set(cluster, "access_key_id", "ZZZZZZZZZZZZZZZZZZZZ");
    apply_cluster(cluster);
    _cleanup_free_ char *other = checksum("hostnic-node");
    assert_string_not_equal(before, other);
}

static void test_port_range_without_30000(void **state)
{
    (void)state;
    _cleanup_json_ json_t *cluster = load("three-logs");
    apply_cluster(cluster);
    assert_member("service", "prometheus", "spec.ports.0.nodePort", "30000");
    set(cluster, "cluster_port_range", "31000-32000");
    _cleanup_json_ json_t *context = context_of(cluster);
    _cleanup_free_ char *port = member(context, "monitoring.node_port");
    assert_null(port);
    apply_cluster(cluster);
}

/* Releases of flannel up to 0.19 lived in kube-system; of two in a cluster both would write each node's network. */
static void test_flannel_of_a_former_release_goes(void **state)
{
    (void)state;
    static const char text[] =
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: kube-flannel-ds, namespace: "
        "kube-system}\nspec:\n  selector: {matchLabels: {app: flannel}}\n  template:\n    metadata: "
        "{labels: {app: flannel}}\n    spec: {containers: [{name: a, image: a}]}\n";
    static const char *const apply[] = {"apply", "--server-side", ADDONS_MANAGER, "--filename=-", NULL};
    static const char *const now[] = {"get", "daemonset", "kube-flannel-ds", "--namespace=kube-flannel", NULL};
    struct run run = new_run();
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *cluster = load("es-server");
    _cleanup_json_ json_t *record = json_pack("{s:{s:s, s:[s]}}", "flannel", "hash", "0", "objects",
                                              "apps/v1 DaemonSet kube-system kube-flannel-ds");
    _cleanup_free_ char *kept = path_join(server.root, "state/addons/flannel.yaml");
    _cleanup_free_ char *own = path_join(server.root, "state/addons/objects.json");
    const struct file_spec spec = {.path = kept, .data = text, .len = strlen(text), .mode = 0600};
    must(kubectl(&run, apply, text, NULL, &err), &err);
    must(file_put(&spec, NULL, &err), &err);
    must(file_remove(own, NULL, &err), &err);
    must(addons_state_write(&run, record, &err), &err);
    apply_cluster(cluster);
    assert_absent("daemonset", "kube-flannel-ds");
    must(kubectl(&run, now, NULL, NULL, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elasticsearch_moves),
        cmocka_unit_test(test_addon_of_a_former_release_is_deleted),
        cmocka_unit_test(test_forward_server_restarts_fluent_bit),
        cmocka_unit_test(test_port_range_without_30000),
        cmocka_unit_test(test_flannel_of_a_former_release_goes),
        cmocka_unit_test_setup(test_api_key_restarts_hostnic, start_another_cluster),
    };
    return releases_there() ? cmocka_run_group_tests(tests, set_up, tear_down) : 0;
}
