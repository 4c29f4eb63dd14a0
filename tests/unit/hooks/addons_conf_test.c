#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "hooks/addons/addons_conf.h"
#include "lib/system/file.h"

static char path[] = "/tmp/addons-conf-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static int load(struct addons **addons, const char *text, struct error **err)
{
    const struct file_spec spec = {
        .path = path, .data = text, .len = strlen(text), .mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
    return file_put(&spec, NULL, err) < 0 ? -1 : addons_load(addons, path, err);
}

static void assert_refused(const char *text, const char *reason)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_(addons_freep) struct addons *addons = NULL;
    assert_int_equal(load(&addons, text, &err), -1);
    assert_int_equal(err->status, STATUS_CONFIG);
    assert_true(str_starts(err->message, path));
    if (strstr(err->message, reason) == NULL) {
        fail_msg("%s", err->message);
    }
}

static void addons_are_ordered_by_after(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_(addons_freep) struct addons *addons = NULL;
    assert_int_equal(load(&addons,
                          "addon \"d\" { after = {\"c\", \"a\"} }\naddon \"b\" {}\n"
                          "addon \"c\" { after = {\"a\"} templates = {\"t\"} upstream = {\"u\"} }\naddon \"a\" {}\n",
                          &err),
                     0);
    static const char *const order[] = {"b", "a", "c", "d"};
    size_t n = addons == NULL ? 0 : addons->n;
    assert_int_equal(n, ELEMENTS(order));
    for (size_t i = 0; i < n; i++) {
        const struct addon *addon = &addons->list[i];
        assert_string_equal(addon->name, order[i]);
        assert_string_equal(strcmp(addon->name, "c") == 0 ? addon->templates[0] : "t", "t");
        assert_string_equal(strcmp(addon->name, "c") == 0 ? addon->upstream[0] : "u", "u");
    }
}

static void mistakes_are_told(void **state)
{
    (void)state;
    assert_refused("addon \"a\" {\n    manifest = {\"x\"}\n}\n", ":2: no such option 'manifest'");
    assert_refused("addon \"a\" { after = {\"b\"} }\n", "\"a\" comes after \"b\", which is not an add-on");
    assert_refused("addon \"a\" { after = {\"b\"} }\naddon \"b\" { after = {\"a\"} }\n", "\"a\" is part of a cycle");
    assert_refused("addon \"a\" { after = {\"a\"} }\n", "\"a\" is part of a cycle");
    assert_refused("addon \"a\" {}\naddon \"a\" {}\n", ":2: ");
    assert_refused("addon {}\n", ":1: ");
    assert_refused("# a comment\n# another\naddon \"a\" { manifest = {} }\n", ":3: ");
    assert_refused("addon \"a\" {\n  after = {}\n", "this \"{\" has no \"}\"");
}

static void an_absent_file_is_an_error(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_(addons_freep) struct addons *addons = NULL;
    assert_int_equal(addons_load(&addons, "/nonexistent/addons.conf", &err), -1);
    assert_int_equal(err->status, STATUS_CONFIG);
    assert_string_equal(err->message, "cannot read /nonexistent/addons.conf: No such file or directory");
}

static void the_context_switches(void **state)
{
    (void)state;
    _cleanup_json_ json_t *context =
        json_loads("{\"yes\": true, \"no\": false, \"null\": null, \"empty\": [], \"list\": [1], \"a\": "
                   "{\"yes\": true, \"text\": \"x\", \"zero\": 0, \"nothing\": \"\"}}",
                   0, NULL);
    static const struct {
        const char *when[3];
        bool on;
    } cases[] = {
        {{NULL}, true},         {{"yes"}, true},         {{"no"}, false},        {{"null"}, false},
        {{"empty"}, false},     {{"list"}, true},        {{"absent"}, false},    {{"a.yes"}, true},
        {{"a.absent"}, false},  {{"yes.deeper"}, false}, {{"a.text"}, true},     {{"a.zero"}, false},
        {{"!yes"}, false},      {{"!no"}, true},         {{"!absent"}, true},    {{"yes", "no"}, false},
        {{"yes", "!no"}, true}, {{"a.nothing"}, false},  {{"!a.nothing"}, true},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_strv_ char **when = xcalloc(1, sizeof *when);
        for (size_t j = 0; cases[i].when[j] != NULL; j++) {
            strv_push(&when, cases[i].when[j]);
        }
        const struct addon addon = {.name = (char *)"a", .when = when};
        assert_int_equal(addon_on(&addon, context), cases[i].on);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addons_are_ordered_by_after),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(an_absent_file_is_an_error),
        cmocka_unit_test(the_context_switches),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
