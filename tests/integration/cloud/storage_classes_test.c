/* The storage classes as the add-on engine applies them to a real API server, when the cluster's machines change: a
 * class's parameters cannot be changed in place. */
#include "tests/integration/addons/addons_fixture.h"

#include "app/facts/storage_types.h"
#include "lib/core/json.h"

#define CLASSES "/apis/storage.k8s.io/v1/storageclasses"

/* The roles of the hosts that are there, and the cluster's zone. */
static void apply_for(struct fixture *f, int node, int ssd)
{
    static char zone[] = "pek3a";
    const struct host_role of_node = {.name = "node", .node = true};
    struct host hosts[2] = {0};
    struct facts facts = {.hosts = hosts, .cluster.zone = zone};
    _cleanup_error_ struct error *err = NULL;
    if (node >= 0) {
        hosts[facts.n_hosts++] = (struct host){.role = (char *)"node", .is = &of_node, .instance_class = node};
    }
    if (ssd >= 0) {
        hosts[facts.n_hosts++] = (struct host){.role = (char *)"ssd_node", .is = &of_node, .instance_class = ssd};
    }
    _cleanup_json_ json_t *context =
        json_pack("{s{ss} so}", "cluster", "zone", zone, "storage", facts_storage(&facts, NULL));
    _cleanup_(addons_plan_freep) struct addons_plan *plan = NULL;
    _cleanup_(addons_plan_freep) struct addons_plan *again = NULL;
    must(addons_plan_make(&plan, &f->run, context, &err), &err);
    must(addons_plan_apply(plan, &err), &err);
    must(addons_plan_make(&again, &f->run, context, &err), &err);
    assert_true(addons_plan_empty(again));
}

static json_t *class_of(struct fixture *f, const char *name)
{
    _cleanup_free_ char *path = xasprintf(CLASSES "/%s", name);
    json_t *class = NULL;
    long code = 0;
    if (kube_get(f->run.kube, path, deadline_in(120000), &class, &code, NULL) < 0) {
        assert_int_equal(code, 404);
    }
    return class;
}

static void assert_class(struct fixture *f, const char *name, const char *type, bool restricted)
{
    _cleanup_json_ json_t *class = class_of(f, name);
    if (type == NULL) {
        assert_null(class);
        return;
    }
    assert_non_null(class);
    assert_string_equal(json_text_at(class, "parameters", "type", NULL), type);
    assert_int_equal(json_array_size(json_object_get(class, "allowedTopologies")), restricted);
}

static void classes_follow_the_machines(void **state)
{
    (void)state;
    static const char own[] = "{\"apiVersion\": \"storage.k8s.io/v1\", \"kind\": \"StorageClass\","
                              "\"metadata\": {\"name\": \"own\"}, \"provisioner\": \"disk.csi.qingcloud.com\","
                              "\"parameters\": {\"type\": \"5\"}}";
    _cleanup_fixture_ struct fixture f;
    _cleanup_error_ struct error *err = NULL;
    fixture_open(&f);
    put("roles/addons.conf", "addon \"storage\" { templates = {\"addons/storage-classes.yaml.mustache\"} }\n", 0644);
    free(f.conf.paths.templates);
    f.conf.paths.templates = xstrdup("templates");
    _cleanup_json_ json_t *object = json_loads(own, 0, NULL);
    must(kube_post(f.run.kube, CLASSES, object, deadline_in(120000), NULL, &err), &err);

    apply_for(&f, 0, -1);
    assert_class(&f, "qingcloud-storageclass", "0", false);
    assert_class(&f, "qingcloud-storageclass-capacity", "2", false);
    assert_class(&f, "qingcloud-storageclass-super-high-performance", NULL, false);
    apply_for(&f, 0, 1);
    assert_class(&f, "qingcloud-storageclass", "0", true);
    assert_class(&f, "qingcloud-storageclass-capacity", "2", false);
    assert_class(&f, "qingcloud-storageclass-high-performance", "0", true);
    assert_class(&f, "qingcloud-storageclass-super-high-performance", "3", true);
    apply_for(&f, -1, 1);
    assert_class(&f, "qingcloud-storageclass", "3", false);
    assert_class(&f, "qingcloud-storageclass-super-high-performance", NULL, false);
    apply_for(&f, 202, -1);
    assert_class(&f, "qingcloud-storageclass", "200", false);
    assert_class(&f, "own", "5", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(classes_follow_the_machines)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
