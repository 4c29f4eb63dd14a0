#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hooks/engine/role_conf.h"
#include "hooks/steps/machine/file_actions.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

static char roles[32];

static int enter(void **state)
{
    (void)state;
    (void)snprintf(roles, sizeof roles, "/tmp/roles-XXXXXX");
    return mkdtemp(roles) == NULL ? -1 : 0;
}

static int leave(void **state)
{
    (void)state;
    return tree_remove(roles, NULL);
}

static void put_file(const char *name, const char *text)
{
    _cleanup_free_ char *path = path_join(roles, name);
    const struct file_spec spec = {path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

static void put(const char *text)
{
    put_file("node.conf", text);
}

static void errors_in_the_role_file_name_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"file \"a\" {\n template = \"t\"\n pth = \"/a\"\n}\n", "node.conf:3: no such option 'pth'"},
        {"fil \"a\" {\n}\n", "node.conf:1: no such option 'fil'"},
        {"file \"a\" {\n template = \"t\"\n}\n", "file \"a\" needs both template and path"},
        {"file \"a\" {\n path = \"a\"\n}\n", "node.conf:2: path is \"a\"; accepted: the absolute path"},
        {"file \"a\" {\n path = \"/a/../b\"\n}\n", "accepted: the absolute path"},
        {"\nfile \"a\" {\n format = \"toml\"\n}\n", "node.conf:3: format is \"toml\"; accepted: plain,"},
        {"file \"a\" {\n mode = \"rw\"\n}\n", "node.conf:2: mode is \"rw\"; accepted: an octal"},
        {"file \"a\" {\n on-change = {\"daemon-reload\", \"dance\"}\n}\n", "node.conf:2: on-change has \"dance\""},
        {"file \"a\" {\n template = \"t\"\n path = \"/a\"\n owner = \"nobody-here\"\n}\n", "has no user nobody-here"},
        {"file \"a\" {\n template = \"t\"\n path = \"/a\"\n mode = \"0640\"\n secret = true\n}\n", "must be \"0600\""},
        {"unit \"a\" {\n}\nunit \"a\" {\n}\n", "node.conf:3"},
        {"check \"a\" {\n warn = \"much\"\n}\n", "node.conf:2"},
        {"file \"a\" {\n", "node.conf:"},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_error_ struct error *err = NULL;
        struct role_conf *role_conf = NULL;
        put(cases[i].text);
        assert_int_equal(role_conf_load(&role_conf, roles, "node", &err), -1);
        assert_int_equal(err->status, STATUS_CONFIG);
        if (strstr(err->message, cases[i].message) == NULL) {
            fail_msg("\"%s\" does not contain \"%s\"", err->message, cases[i].message);
        }
    }
    _cleanup_error_ struct error *err = NULL;
    struct role_conf *role_conf = NULL;
    assert_int_equal(role_conf_load(&role_conf, roles, "absent", &err), -1);
    assert_non_null(strstr(err->message, "absent.conf: No such file"));
}

static void units_and_checks_are_read(void **state)
{
    (void)state;
    put("unit \"docker.service\" {}\nunit \"routes.service\" {\n when = \"network.bridge\"\n}\n"
        "check \"space\" {\n warn = 85\n fail = 95\n}\ncheck \"clock\" {\n enabled = false\n}\n");
    _cleanup_(role_conf_freep) struct role_conf *role_conf = NULL;
    assert_int_equal(role_conf_load(&role_conf, roles, "node", NULL), 0);
    assert_int_equal(role_conf->n_units, 2);
    assert_string_equal(role_conf->units[0].name, "docker.service");
    assert_null(role_conf->units[0].when);
    assert_string_equal(role_conf->units[1].when, "network.bridge");
    const struct check_conf *space = role_conf_check(role_conf, "space");
    assert_true(space->enabled && space->warn == 85 && space->fail == 95);
    const struct check_conf *clock = role_conf_check(role_conf, "clock");
    assert_true(!clock->enabled && clock->warn == -1 && clock->fail == -1);
    assert_null(role_conf_check(role_conf, "moon"));
}

static void sections_of_included_files_count(void **state)
{
    (void)state;
    put("include = {\"more.conf\"}\nunit \"a.service\" {}\n");
    put_file("more.conf", "include = {\"most.conf\"}\nunit \"b.service\" {}\n");
    put_file("most.conf", "unit \"c.service\" {}\n");
    _cleanup_(role_conf_freep) struct role_conf *role_conf = NULL;
    assert_int_equal(role_conf_load(&role_conf, roles, "node", NULL), 0);
    assert_int_equal(role_conf->n_units, 3);
    assert_string_equal(role_conf->units[2].name, "c.service");
}

static void an_included_file_is_named_when_it_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"unit \"a.service\" {}\n", "more.conf"},
        {"\nunot \"b.service\" {}\n", "more.conf:2: no such option 'unot'"},
        {"include = {\"more.conf\"}\n", "more.conf: included by what it includes"},
        {"include = {\"absent.conf\"}\n", "absent.conf: No such file"},
    };
    put("include = {\"more.conf\"}\nunit \"a.service\" {}\n");
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_error_ struct error *err = NULL;
        struct role_conf *role_conf = NULL;
        put_file("more.conf", cases[i].text);
        assert_int_equal(role_conf_load(&role_conf, roles, "node", &err), -1);
        assert_int_equal(err->status, STATUS_CONFIG);
        if (strstr(err->message, cases[i].message) == NULL) {
            fail_msg("\"%s\" does not contain \"%s\"", err->message, cases[i].message);
        }
    }
}

static void the_shipped_role_files_are_good(void **state)
{
    (void)state;
    static const char *const names[] = {"master", "node", "log", "client"};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        _cleanup_(role_conf_freep) struct role_conf *role_conf = NULL;
        _cleanup_error_ struct error *err = NULL;
        if (role_conf_load(&role_conf, "roles", names[i], &err) < 0) {
            fail_msg("%s", err->message);
        }
        assert_true(role_conf->n_files > 0);
    }
}

static void conditions_can_be_turned_round(void **state)
{
    (void)state;
    _cleanup_json_ json_t *context = json_pack("{s:{s:b,s:b}}", "a", "on", true, "off", false);
    assert_true(when_holds(NULL, context));
    assert_true(when_holds("a.on", context));
    assert_false(when_holds("a.off", context));
    assert_false(when_holds("a.none", context));
    assert_false(when_holds("!a.on", context));
    assert_true(when_holds("!a.off", context));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

static void reload_does_every_action_in_this_order(void **state)
{
    (void)state;
    size_t i = 0;
    for (; change_actions[i] != NULL && reload_actions[i].name != NULL; i++) {
        assert_string_equal(change_actions[i], reload_actions[i].name);
    }
    assert_null(change_actions[i]);
    assert_null(reload_actions[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(errors_in_the_role_file_name_their_line), TEST(units_and_checks_are_read),
        TEST(sections_of_included_files_count),        TEST(an_included_file_is_named_when_it_is_wrong),
        TEST(the_shipped_role_files_are_good),         TEST(conditions_can_be_turned_round),
        TEST(reload_does_every_action_in_this_order),
    };
    return cmocka_run_group_tests_name("role_conf", tests, NULL, NULL);
}
