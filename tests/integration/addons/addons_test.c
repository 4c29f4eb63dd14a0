#include "tests/integration/addons/addons_fixture.h"

static void test_applies_in_order_and_then_nothing(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, ALL);
    assert_cluster(&f, "first-settings=one second=two a-pool=3 ");
    _cleanup_json_ json_t *record = NULL;
    _cleanup_error_ struct error *err = NULL;
    must(addons_state_read(&f.run, &record, &err), &err);
    assert_int_equal(json_object_size(record), 3);
    assert_int_equal(strlen(addons_state_hash(record, "first")), 64);
    assert_true(up_to_date(&f, ALL));

    put("opt/kubernetes/bin/log", "", 0644);
    must_apply(&f, ALL);
    _cleanup_free_ char *log = get("opt/kubernetes/bin/log");
    assert_null(strstr(log, "apply"));
    assert_null(strstr(log, "delete"));
    wipe(&f);
}

static void test_what_was_applied_is_kept(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, ALL);
    _cleanup_free_ char *kept = get("state/addons/first.yaml");
    assert_non_null(strstr(kept, "data: {text: \"one\"}\n"));
    put("state/addons/first.yaml", "", 0600);
    assert_false(up_to_date(&f, ALL));
    must_apply(&f, "{\"second\": {\"text\": \"two\"}}");
    _cleanup_free_ char *path = path_join(server.root, "state/addons/first.yaml");
    assert_int_equal(access(path, F_OK), -1);
    wipe(&f);
}

static void test_change_applies_one_and_prunes(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, "{\"first\": {\"text\": \"one\", \"extra\": \"extra-a\"}, \"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "extra-a=<none> first-settings=one second=two ");

    must_apply(&f, "{\"first\": {\"text\": \"ONE\", \"extra\": \"extra-b\"}, \"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "extra-b=<none> first-settings=ONE second=two ");

    must_apply(&f, "{\"first\": {\"text\": \"ONE\"}, \"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "first-settings=ONE second=two ");
    wipe(&f);
}

static void test_off_is_deleted_wholly(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, ALL);
    must_apply(&f, "{\"first\": {\"text\": \"one\"}, \"off\": true, \"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "second=two ");
    _cleanup_json_ json_t *record = NULL;
    _cleanup_error_ struct error *err = NULL;
    must(addons_state_read(&f.run, &record, &err), &err);
    assert_int_equal(json_object_size(record), 1);
    wipe(&f);
}

static void test_what_moves_to_another_addon_stays(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    must_apply(&f, "{\"first\": {\"text\": \"one\", \"extra\": \"extra-a\"}, \"second\": {\"text\": \"two\"}}");
    put("opt/kubernetes/bin/log", "", 0644);
    must_apply(&f, "{\"first\": {\"text\": \"one\"}, \"second\": {\"text\": \"two\", \"extra\": \"extra-a\"}}");
    assert_cluster(&f, "extra-a=<none> first-settings=one second=two ");
    _cleanup_free_ char *log = get("opt/kubernetes/bin/log");
    assert_null(strstr(log, "delete"));
    wipe(&f);
}

static void test_lost_object_comes_back(void **state)
{
    (void)state;
    static const char *const lose[] = {"delete", "configmap", "first-settings", "--namespace=kube-system", NULL};
    _cleanup_fixture_ struct fixture f;
    _cleanup_error_ struct error *err = NULL;
    fixture_open(&f);
    must_apply(&f, ALL);
    must(kubectl(&f.run, lose, NULL, NULL, &err), &err);
    assert_false(up_to_date(&f, ALL));
    must_apply(&f, ALL);
    assert_cluster(&f, "first-settings=one second=two a-pool=3 ");
    assert_true(up_to_date(&f, ALL));
    wipe(&f);
}

static void test_lost_definition_comes_back_and_can_go(void **state)
{
    (void)state;
    static const char *const lose[] = {"delete", "customresourcedefinition", "pools.tests.example.com", NULL};
    _cleanup_fixture_ struct fixture f;
    _cleanup_error_ struct error *err = NULL;
    fixture_open(&f);
    must_apply(&f, ALL);
    must(kubectl(&f.run, lose, NULL, NULL, &err), &err);
    must_apply(&f, ALL);
    assert_cluster(&f, "first-settings=one second=two a-pool=3 ");
    must(kubectl(&f.run, lose, NULL, NULL, &err), &err);
    wipe(&f);
}

static void test_an_immutable_object_is_recreated(void **state)
{
    (void)state;
    static const char *const get_selector[] = {"get",
                                               "deployment",
                                               "workload",
                                               "--namespace=kube-system",
                                               "--output=jsonpath={.spec.selector.matchLabels.version}",
                                               NULL};
    _cleanup_fixture_ struct fixture f;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *selector = NULL;
    fixture_open(&f);
    must_apply(&f, "{\"second\": {\"text\": \"one\", \"selector\": \"v1\"}}");
    must_apply(&f, "{\"second\": {\"text\": \"two\", \"selector\": \"v2\"}}");
    must(kubectl(&f.run, get_selector, NULL, &selector, &err), &err);
    assert_string_equal(selector, "v2");
    assert_cluster(&f, "second=two ");
    wipe(&f);
}

static void test_failure_names_the_addon_and_is_taken_up(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    _cleanup_error_ struct error *err = NULL;
    fixture_open(&f);
    assert_int_equal(
        apply(&f, "{\"first\": {\"text\": \"one\", \"extra\": \"Not-A-Name\"}, \"second\": {\"text\": \"two\"}}", &err),
        -1);
    assert_int_equal(err->status, STATUS_COMMAND);
    assert_true(str_starts(err->message, "add-on first: "));
    assert_non_null(strstr(err->message, "Not-A-Name"));
    must_apply(&f, "{\"first\": {\"text\": \"one\"}, \"second\": {\"text\": \"two\"}}");
    assert_cluster(&f, "first-settings=one second=two ");
    wipe(&f);
}

static void test_template_error_changes_nothing(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    _cleanup_error_ struct error *err = NULL;
    fixture_open(&f);
    assert_int_equal(apply(&f, "{\"pool\": {}, \"second\": {\"text\": \"two\"}}", &err), -1);
    assert_int_equal(err->status, STATUS_TEMPLATE);
    assert_true(str_starts(err->message, "add-on pool: "));
    assert_int_equal(calls(), 0);
}

static void test_damaged_record_is_recreated(void **state)
{
    (void)state;
    static const char *const spoil[] = {"patch",
                                        "configmap",
                                        ADDONS_STATE,
                                        "--namespace=kube-system",
                                        "--type=merge",
                                        "--patch={\"data\": {\"first\": \"what?\"}}",
                                        NULL};
    _cleanup_fixture_ struct fixture f;
    _cleanup_error_ struct error *err = NULL;
    fixture_open(&f);
    must_apply(&f, ALL);
    must(kubectl(&f.run, spoil, NULL, NULL, &err), &err);
    assert_false(up_to_date(&f, ALL));
    must_apply(&f, ALL);
    assert_true(up_to_date(&f, ALL));
    wipe(&f);
}

/* In a child, which the wrapper ends at the call that WHEN names: 0 when it ran to its end. */
static int apply_killed(struct fixture *f, const char *context, const char *when)
{
    int status = 0;
    put("opt/kubernetes/bin/calls", "0\n", 0644);
    put("opt/kubernetes/bin/kill", when, 0644);
    pid_t pid = fork();
    if (pid == 0) {
        /* not the parent's connection, which goes on */
        (void)apiserver_kube(&server, &f->run.kube, NULL);
        struct error *err = NULL;
        int applied = apply(f, context, &err);
        if (applied < 0) {
            print_error("%s\n", err->message);
        }
        _exit(applied < 0 ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    put("opt/kubernetes/bin/kill", "", 0644);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* One add-on goes off and another is changed. Being ended before a call is being ended after the one before it: only
 * calls change anything. What a killed run had made or deleted by then is known, so the next one can go on or go back.
 */
static void test_killed_at_any_call(void **state)
{
    (void)state;
    static const char before[] =
        "{\"first\": {\"text\": \"one\", \"extra\": \"extra-a\"}, \"second\": {\"text\": \"two\"}}";
    static const char after[] = "{\"second\": {\"text\": \"TWO\", \"extra\": \"extra-b\"}}";
    _cleanup_fixture_ struct fixture f;
    fixture_open(&f);
    size_t n = 0;
    for (int killed = 1; killed == 1; n++) {
        f.run.deadline = deadline_in(900000); /* for each call anew */
        _cleanup_free_ char *when = xasprintf("after-%zu\n", n + 1);
        must_apply(&f, before);
        killed = apply_killed(&f, after, when);
        if (n % 2 == 0) {
            must_apply(&f, after);
            assert_cluster(&f, "extra-b=<none> second=TWO ");
        } else {
            must_apply(&f, before);
            assert_cluster(&f, "extra-a=<none> first-settings=one second=two ");
        }
    }
    assert_true(n > 5);
    wipe(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_applies_in_order_and_then_nothing),
        cmocka_unit_test(test_what_was_applied_is_kept),
        cmocka_unit_test(test_change_applies_one_and_prunes),
        cmocka_unit_test(test_off_is_deleted_wholly),
        cmocka_unit_test(test_what_moves_to_another_addon_stays),
        cmocka_unit_test(test_lost_object_comes_back),
        cmocka_unit_test(test_lost_definition_comes_back_and_can_go),
        cmocka_unit_test(test_an_immutable_object_is_recreated),
        cmocka_unit_test(test_failure_names_the_addon_and_is_taken_up),
        cmocka_unit_test(test_template_error_changes_nothing),
        cmocka_unit_test(test_damaged_record_is_recreated),
        cmocka_unit_test(test_killed_at_any_call),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
