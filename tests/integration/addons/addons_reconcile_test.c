/* What users and others do to the objects of add-ons, and what becomes of it. */
#include "lib/system/tree.h"
#include "tests/integration/addons/addons_fixture.h"

#define SETTINGS "configmap", "first-settings", "--namespace=kube-system"

static void cluster_do(struct fixture *f, const char *const *arguments, const char *input)
{
    _cleanup_error_ struct error *err = NULL;
    must(kubectl(&f->run, arguments, input, NULL, &err), &err);
}

#define CLUSTER(F, ...) cluster_do(F, (const char *const[]){__VA_ARGS__, NULL}, NULL)

static void test_a_changed_field_is_set_back(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, ALL);
    CLUSTER(&f, "patch", SETTINGS, "--type=merge", "--patch={\"data\": {\"text\": \"user\"}}");
    assert_cluster(&f, "first-settings=user second=two a-pool=3 ");
    assert_false(up_to_date(&f, ALL));
    must_apply(&f, ALL);
    assert_cluster(&f, "first-settings=one second=two a-pool=3 ");
    assert_true(up_to_date(&f, ALL));
    wipe(&f);
}

static void test_a_removed_field_comes_back(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, ALL);
    CLUSTER(&f, "patch", SETTINGS, "--type=json", "--patch=[{\"op\": \"remove\", \"path\": \"/data/text\"}]");
    must_apply(&f, ALL);
    assert_cluster(&f, "first-settings=one second=two a-pool=3 ");
    wipe(&f);
}

/* Fields that no manifest has are others' to set: labels, annotations, what a controller fills in. */
static void test_fields_of_others_are_no_change(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, ALL);
    CLUSTER(&f, "label", SETTINGS, "team=web");
    CLUSTER(&f, "patch", SETTINGS, "--type=merge", "--patch={\"data\": {\"more\": \"user\"}}");
    assert_true(up_to_date(&f, ALL));
    wipe(&f);
}

static void test_an_exempt_object_is_left_alone(void **state)
{
    (void)state;
    static const char other[] =
        "{\"pool\": {\"size\": 3}, \"first\": {\"text\": \"ONE\"}, \"second\": {\"text\": \"two\"}}";
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, ALL);
    CLUSTER(&f, "annotate", SETTINGS, "k8s-hooks/reconcile=disabled");
    CLUSTER(&f, "patch", SETTINGS, "--type=merge", "--patch={\"data\": {\"text\": \"user\"}}");
    assert_true(up_to_date(&f, ALL));
    must_apply(&f, other);
    assert_cluster(&f, "first-settings=user second=two a-pool=3 ");
    must_apply(&f, "{\"pool\": {\"size\": 3}, \"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "first-settings=user second=two a-pool=3 ");

    CLUSTER(&f, "annotate", SETTINGS, "k8s-hooks/reconcile-");
    must_apply(&f, other);
    assert_cluster(&f, "first-settings=ONE second=two a-pool=3 ");
    wipe(&f);
}

/* As the definitions of snapshots, which would take all snapshots along. */
static void test_an_object_to_keep_outlives_its_addon(void **state)
{
    (void)state;
    static const char without[] = "{\"pool\": {\"size\": 3}, \"second\": {\"text\": \"two\"}}";
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, ALL);
    CLUSTER(&f, "annotate", SETTINGS, "helm.sh/resource-policy=keep");
    must_apply(&f, without);
    assert_cluster(&f, "first-settings=one second=two a-pool=3 ");
    must_apply(&f, ALL);
    CLUSTER(&f, "annotate", SETTINGS, "helm.sh/resource-policy-");
    must_apply(&f, without);
    assert_cluster(&f, "second=two a-pool=3 ");
    wipe(&f);
}

static void test_a_users_own_object_of_the_name_stays(void **state)
{
    (void)state;
    static const char both[] =
        "{\"first\": {\"text\": \"one\", \"extra\": \"extra-a\"}, \"second\": {\"text\": \"two\"}}";
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, ALL);
    CLUSTER(&f, "delete", SETTINGS);
    CLUSTER(&f, "create", SETTINGS, "--from-literal=text=user");
    assert_true(up_to_date(&f, ALL));
    must_apply(&f, ALL);
    assert_cluster(&f, "first-settings=user second=two a-pool=3 ");
    must_apply(&f, "{\"pool\": {\"size\": 3}, \"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "first-settings=user second=two a-pool=3 ");
    CLUSTER(&f, "delete", SETTINGS);

    /* also when another object of the add-on has to be applied again */
    must_apply(&f, both);
    CLUSTER(&f, "delete", SETTINGS);
    CLUSTER(&f, "create", SETTINGS, "--from-literal=text=user");
    CLUSTER(&f, "delete", "configmap", "extra-a", "--namespace=kube-system");
    must_apply(&f, both);
    assert_cluster(&f, "extra-a=<none> first-settings=user second=two ");
    assert_true(up_to_date(&f, both));
    CLUSTER(&f, "delete", SETTINGS);
    wipe(&f);
}

/* The entry of an add-on in the cluster's record, with OBJECTS for what it had. */
static void forge(struct fixture *f, const char *addon, const char *objects)
{
    _cleanup_free_ char *entry = xasprintf("{\"hash\": \"\", \"objects\": [%s]}", objects);
    _cleanup_json_ json_t *patch = json_pack("{s:{s:s}}", "data", addon, entry);
    _cleanup_free_ char *text = json_dumps(patch, JSON_COMPACT);
    _cleanup_free_ char *argument = xasprintf("--patch=%s", text);
    CLUSTER(f, "patch", "configmap", ADDONS_STATE, "--namespace=kube-system", "--type=merge", argument);
}

/* Whoever may edit ConfigMaps must not have the master delete what they may not delete themselves: objects of users, of
 * Kubernetes, of another add-on, by an entry of an add-on that is on, off or unknown, or with a name that leads away.
 */
static void test_a_forged_record_deletes_nothing(void **state)
{
    (void)state;
    static const char *const addons[] = {"first", "second", "former"};
    static const char objects[] = "\"v1 ConfigMap kube-system first-users\", \"v1 Namespace - default\","
                                  "\"v1 ServiceAccount kube-system extra-account\", \"v1 Secret ../configmaps x\","
                                  "\"v1 ConfigMap kube-system second-../first-users\", \"what\", 3,"
                                  "\"v1/../../api/v1 ConfigMap kube-system first-users\"";
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    CLUSTER(&f, "create", "configmap", "first-users", "--namespace=kube-system", "--from-literal=text=user");
    /* as ours as an object can be without this master's own record */
    cluster_do(
        &f, (const char *const[]){"apply", "--server-side", ADDONS_MANAGER, "--filename=-", NULL},
        "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"extra-ours\", \"namespace\": "
        "\"kube-system\"}, \"data\": {\"text\": \"x\"}}");
    for (size_t i = 0; i < ELEMENTS(addons); i++) {
        must_apply(&f, ALL);
        forge(&f, addons[i], objects);
        must_apply(&f, "{\"second\": {\"text\": \"two\"}}");
        assert_cluster(&f, "extra-ours=x first-users=user second=two ");
        forge(&f, addons[i], "\"v1 ConfigMap kube-system extra-ours\"");
        must_apply(&f, "{\"second\": {\"text\": \"two\"}}");
        assert_cluster(&f, "extra-ours=x first-users=user second=two ");
    }
    CLUSTER(&f, "get", "namespace", "default");
    CLUSTER(&f, "delete", "configmap", "first-users", "extra-ours", "--namespace=kube-system");
    wipe(&f);
}

/* A former version kept the manifests alone. */
static void test_what_a_former_version_applied_can_go(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    _cleanup_error_ struct error *err = NULL;
    fixture_open(&f);
    must_apply(&f, ALL);
    _cleanup_free_ char *path = path_join(server.root, "state/addons/objects.json");
    must(file_remove(path, NULL, &err), &err);
    must_apply(&f, "{\"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "second=two ");

    must_apply(&f, ALL);
    put("state/addons/objects.json", "{\"first\": [1]", 0600);
    must_apply(&f, "{\"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "second=two ");
    wipe(&f);
}

/* A restored master has nothing of its own on disk: it applies all again, and what it does not know stays. */
static void test_a_lost_disk_deletes_nothing_and_is_made_good(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    _cleanup_error_ struct error *err = NULL;
    fixture_open(&f);
    must_apply(&f, ALL);
    _cleanup_free_ char *path = path_join(server.root, "state");
    must(tree_remove(path, &err), &err);
    must_apply(&f, "{\"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "first-settings=one second=two a-pool=3 ");
    must_apply(&f, ALL);
    assert_true(up_to_date(&f, ALL));
    must_apply(&f, "{\"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "second=two ");
    wipe(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_changed_field_is_set_back),
        cmocka_unit_test(test_a_removed_field_comes_back),
        cmocka_unit_test(test_fields_of_others_are_no_change),
        cmocka_unit_test(test_an_exempt_object_is_left_alone),
        cmocka_unit_test(test_an_object_to_keep_outlives_its_addon),
        cmocka_unit_test(test_a_users_own_object_of_the_name_stays),
        cmocka_unit_test(test_a_forged_record_deletes_nothing),
        cmocka_unit_test(test_what_a_former_version_applied_can_go),
        cmocka_unit_test(test_a_lost_disk_deletes_nothing_and_is_made_good),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
