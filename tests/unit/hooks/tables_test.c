#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hooks/events/tables.h"

static const char *cell(const json_t *table, size_t row, size_t column)
{
    return json_string_value(json_array_get(json_array_get(json_object_get(table, "data"), row), column));
}

static size_t rows(const json_t *table)
{
    return json_array_size(json_object_get(table, "data"));
}

/* What AppCenter accepts: strings only, no more columns than labels, and its limits. */
static void assert_fits(const json_t *table)
{
    const json_t *labels = json_object_get(table, "labels");
    assert_true(json_array_size(labels) >= 1 && json_array_size(labels) <= 5);
    assert_true(rows(table) <= 225);
    for (size_t i = 0; i < rows(table); i++) {
        const json_t *row = json_array_get(json_object_get(table, "data"), i);
        assert_int_equal(json_array_size(row), json_array_size(labels));
        for (size_t j = 0; j < json_array_size(row); j++) {
            assert_true(json_is_string(json_array_get(row, j)));
        }
    }
}

static json_t *node(const char *name, const char *ready, bool closed)
{
    return json_pack("{s{ss s{ss}} s{sb} s{s[{ss ss}] s{ss} s[{ss ss}{ss ss}]}}", "metadata", "name", name, "labels",
                     "role", "node", "spec", "unschedulable", closed, "status", "conditions", "type", "Ready", "status",
                     ready, "nodeInfo", "kubeletVersion", "v1.20.2", "addresses", "type", "Hostname", "address", name,
                     "type", "InternalIP", "address", "192.168.0.9");
}

static void nodes_that_are_not_ready_come_first(void **state)
{
    (void)state;
    _cleanup_json_ json_t *list =
        json_pack("{s[oooo]}", "items", node("node-1", "True", false), node("node-2", "Unknown", false),
                  node("node-3", "True", true), json_pack("{s{ss}}", "metadata", "name", "node-4"));
    _cleanup_json_ json_t *table = nodes_table(list);
    assert_fits(table);
    assert_int_equal(rows(table), 4);
    assert_string_equal(cell(table, 0, 0), "node-2");
    assert_string_equal(cell(table, 0, 2), "NotReady");
    assert_string_equal(cell(table, 1, 0), "node-4");
    assert_string_equal(cell(table, 1, 4), "");
    assert_string_equal(cell(table, 2, 0), "node-1");
    assert_string_equal(cell(table, 2, 1), "node");
    assert_string_equal(cell(table, 2, 2), "Ready");
    assert_string_equal(cell(table, 2, 3), "v1.20.2");
    assert_string_equal(cell(table, 2, 4), "192.168.0.9");
    assert_string_equal(cell(table, 3, 2), "Ready,SchedulingDisabled");
}

static void a_long_table_is_cut_and_names_the_remaining_rows(void **state)
{
    (void)state;
    json_t *items = json_array();
    for (int i = 0; i < 300; i++) {
        json_array_append_new(items, node("node-x", "True", false));
    }
    _cleanup_json_ json_t *list = json_pack("{so}", "items", items);
    _cleanup_json_ json_t *table = nodes_table(list);
    assert_fits(table);
    assert_int_equal(rows(table), 225);
    assert_string_equal(cell(table, 224, 0), "and 76 more");
}

static void as_many_as_fit_are_not_cut(void **state)
{
    (void)state;
    json_t *items = json_array();
    for (int i = 0; i < 225; i++) {
        json_array_append_new(items, node("node-x", "True", false));
    }
    _cleanup_json_ json_t *list = json_pack("{so}", "items", items);
    _cleanup_json_ json_t *table = nodes_table(list);
    assert_int_equal(rows(table), 225);
    assert_string_equal(cell(table, 224, 0), "node-x");
}

static json_t *set(const char *name, const char *wanted_key, int wanted, const char *ready_key, int ready,
                   const char *image)
{
    return json_pack("{s[{s{ss} s{s{s{s[{ss}]}}} s{si si}}]}", "items", "metadata", "name", name, "spec", "template",
                     "spec", "containers", "image", image, "status", wanted_key, wanted, ready_key, ready);
}

static void components_show_how_many_are_ready(void **state)
{
    (void)state;
    _cleanup_json_ json_t *pods =
        json_pack("{s[{s{s{ss}} s{s[{ss}]} s{ss s[{ss ss}]}} {s{s{ss}} s{ss}}]}", "items", "metadata", "labels",
                  "component", "etcd", "spec", "containers", "image", "k8s.gcr.io/etcd:3.4.13-0", "status", "phase",
                  "Running", "conditions", "type", "Ready", "status", "True", "metadata", "labels", "component",
                  "kube-scheduler", "status", "phase", "Pending");
    _cleanup_json_ json_t *deployments =
        set("coredns", "replicas", 2, "readyReplicas", 1, "registry.local:5000/coredns:1.7.0");
    _cleanup_json_ json_t *daemon_sets =
        set("kube-proxy", "desiredNumberScheduled", 3, "numberReady", 3, "registry.local:5000/kube-proxy");
    _cleanup_json_ json_t *table = components_table(pods, NULL, deployments, daemon_sets, NULL);
    assert_fits(table);
    assert_int_equal(rows(table), 4);
    assert_string_equal(cell(table, 0, 0), "etcd");
    assert_string_equal(cell(table, 0, 2), "1/1");
    assert_string_equal(cell(table, 0, 4), "3.4.13-0");
    assert_string_equal(cell(table, 1, 2), "0/1");
    assert_string_equal(cell(table, 1, 3), "Pending");
    assert_string_equal(cell(table, 2, 0), "coredns");
    assert_string_equal(cell(table, 2, 1), "Deployment");
    assert_string_equal(cell(table, 2, 2), "1/2");
    assert_string_equal(cell(table, 2, 3), "not ready");
    assert_string_equal(cell(table, 2, 4), "1.7.0");
    assert_string_equal(cell(table, 3, 2), "3/3");
    assert_string_equal(cell(table, 3, 3), "ready");
    assert_string_equal(cell(table, 3, 4), "");
}

static void a_component_is_as_healthy_as_its_probe_says(void **state)
{
    (void)state;
    /* etcd's pod is reported as ready, the scheduler's not yet, the API server's was not probed */
    _cleanup_json_ json_t *pods =
        json_pack("{s[{s{s{ss}} s{s[{ss ss}]}} {s{s{ss}} s{ss s[{ss ss ss}]}} {s{s{ss}} s{s[{ss ss}]}}]}", "items",
                  "metadata", "labels", "component", "etcd", "status", "conditions", "type", "Ready", "status", "True",
                  "metadata", "labels", "component", "kube-scheduler", "status", "phase", "Running", "conditions",
                  "type", "Ready", "status", "False", "reason", "ContainersNotReady", "metadata", "labels", "component",
                  "kube-apiserver", "status", "conditions", "type", "Ready", "status", "True");
    _cleanup_json_ json_t *healthy = json_pack("{sb sb}", "etcd", 0, "kube-scheduler", 1);
    _cleanup_json_ json_t *table = components_table(pods, healthy, NULL, NULL, NULL);
    assert_fits(table);
    assert_string_equal(cell(table, 0, 2), "0/1");
    assert_string_equal(cell(table, 0, 3), "unhealthy");
    assert_string_equal(cell(table, 1, 2), "1/1");
    assert_string_equal(cell(table, 1, 3), "ready");
    assert_string_equal(cell(table, 2, 2), "1/1");
    json_object_set_new(healthy, "kube-scheduler", json_false());
    _cleanup_json_ json_t *later = components_table(pods, healthy, NULL, NULL, NULL);
    assert_string_equal(cell(later, 1, 2), "0/1");
    assert_string_equal(cell(later, 1, 3), "ContainersNotReady");
}

static void certificates_show_their_expiry(void **state)
{
    (void)state;
    enum { DAY = 86400 };
    char path[] = "/etc/kubernetes/pki/apiserver.crt";
    char bad[] = "/etc/kubernetes/pki/x.crt";
    char name[] = "kube-apiserver";
    char problem[] = "cut";
    struct certificate list[] = {
        {.path = path, .info = {.subject = name, .not_before = 0, .not_after = 365L * DAY}},
        {.path = bad, .problem = problem},
    };
    const struct certificates certificates = {list, 2};
    _cleanup_json_ json_t *table = certificates_table(&certificates, 400L * DAY);
    assert_fits(table);
    assert_string_equal(cell(table, 0, 0), path);
    assert_string_equal(cell(table, 0, 1), name);
    assert_string_equal(cell(table, 0, 2), "1970-01-01");
    assert_string_equal(cell(table, 0, 3), "1971-01-01");
    assert_string_equal(cell(table, 0, 4), "-35");
    assert_string_equal(cell(table, 1, 1), "cannot be read");
}

static void the_kubeconfig_table_holds_no_secret(void **state)
{
    (void)state;
    char server[] = "https://192.168.0.2:6443";
    char ca[] = "-----BEGIN CERTIFICATE-----\nAUTHORITY\n";
    char cert[] = "-----BEGIN CERTIFICATE-----\nCLIENT\n";
    char key[] = "-----BEGIN PRIVATE KEY-----\nSECRET\n";
    const struct kubeconfig config = {.server = server, .ca = ca, .cert = cert, .key = key};
    _cleanup_json_ json_t *table = kubeconfig_table("/root/.kube/config", &config, "192.168.0.9", 0);
    assert_fits(table);
    assert_string_equal(cell(table, 0, 1), "/root/.kube/config");
    assert_string_equal(cell(table, 1, 1), server);
    assert_string_equal(cell(table, 2, 1), "cannot be read");
    _cleanup_free_ char *text = json_dumps(table, 0);
    static const char *const secrets[] = {"SECRET", "PRIVATE", "CLIENT", "AUTHORITY", "BEGIN"};
    for (size_t i = 0; i < ELEMENTS(secrets); i++) {
        assert_null(strstr(text, secrets[i]));
    }
}

static void the_dashboard_is_told_of_where_there_is_one(void **state)
{
    (void)state;
    char server[] = "https://192.168.0.2:6443";
    const struct kubeconfig config = {.server = server};
    _cleanup_json_ json_t *with = kubeconfig_table("/root/.kube/config", &config, "192.168.0.9", 0);
    _cleanup_json_ json_t *without = kubeconfig_table("/root/.kube/config", &config, NULL, 0);
    assert_fits(with);
    assert_int_equal(rows(with), 5);
    assert_string_equal(cell(with, 4, 0), "Dashboard");
    assert_string_equal(cell(with, 4, 1), "run k8s-dashboard on the client (192.168.0.9)");
    assert_int_equal(rows(without), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_that_are_not_ready_come_first),
        cmocka_unit_test(a_long_table_is_cut_and_names_the_remaining_rows),
        cmocka_unit_test(as_many_as_fit_are_not_cut),
        cmocka_unit_test(components_show_how_many_are_ready),
        cmocka_unit_test(a_component_is_as_healthy_as_its_probe_says),
        cmocka_unit_test(certificates_show_their_expiry),
        cmocka_unit_test(the_kubeconfig_table_holds_no_secret),
        cmocka_unit_test(the_dashboard_is_told_of_where_there_is_one),
    };
    return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
