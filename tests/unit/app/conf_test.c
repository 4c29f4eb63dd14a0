#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/conf.h"
#include "app/confd.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

struct fixture {
    char directory[32];
    char *main, *over; /* hook.conf, hook.conf.d/20-over.conf */
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    *state = f;
    strcpy(f->directory, "/tmp/conf_test.XXXXXX");
    if (mkdtemp(f->directory) == NULL) {
        return -1;
    }
    f->main = xasprintf("%s/hook.conf", f->directory);
    f->over = xasprintf("%s/hook.conf.d/20-over.conf", f->directory);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    int r = proc_exec(deadline_in(300000), NULL, "rm", "-rf", f->directory, NULL);
    free(f->main);
    free(f->over);
    free(f);
    return r;
}

static void write_text(const char *path, const char *text)
{
    struct file_spec spec = {
        .path = path, .data = text, .len = strlen(text), .mode = 0644, .uid = geteuid(), .gid = getegid()};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

static struct conf *load(const char *path)
{
    struct conf *conf = NULL;
    struct error *err = NULL;
    if (conf_load(&conf, path, true, &err) < 0) {
        fail_msg("%s", err->message);
    }
    return conf;
}

static void assert_refused(const char *path, const char *message)
{
    struct conf *conf = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(conf_load(&conf, path, true, &err), -1);
    assert_null(conf);
    assert_int_equal(err->status, STATUS_CONFIG);
    assert_string_equal(err->message, message);
}

static void assert_defaults(const struct conf *conf)
{
    assert_int_equal(strv_length(conf->metadata.servers), 0);
    assert_string_equal(conf->metadata.confd_toml, "/etc/confd/confd.toml");
    assert_int_equal(conf->metadata.timeout_ms, 5000);
    assert_int_equal(conf->metadata.deadline_ms, 30000);
    assert_null(conf->metadata.cache);
    assert_string_equal(conf->paths.data, "/data");
    assert_null(conf->paths.state);
    assert_string_equal(conf->paths.opt, "/opt/kubernetes");
    assert_int_equal(conf->timeouts.event_s, 0);
    assert_int_equal(conf->timeouts.unit_s, 120);
    assert_int_equal(conf->timeouts.api_s, 300);
    assert_int_equal(conf->timeouts.token_s, 600);
    assert_int_equal(conf->timeouts.drain_s, 300);
    assert_string_equal(conf->network.mode, "auto");
    assert_null(conf->report.url);
    assert_true(conf->addons.enabled);
    assert_int_equal(strv_length(conf->addons.skip), 0);
    assert_string_equal(conf->cloud.protocol, "https");
    assert_string_equal(conf->cloud.host, "api.qingcloud.com");
    assert_int_equal(conf->cloud.port, 443);
}

static void an_absent_file_gives_the_defaults(void **state)
{
    struct fixture *f = *state;
    _cleanup_(conf_freep) struct conf *conf = NULL;
    assert_int_equal(conf_load(&conf, f->main, false, NULL), 0);
    assert_defaults(conf);
}

static void a_required_file_must_be_there(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *message = xasprintf("cannot read %s: No such file or directory", f->main);
    assert_refused(f->main, message);
}

static void the_shipped_file_says_the_defaults(void **state)
{
    (void)state;
    _cleanup_(conf_freep) struct conf *conf = load("hooks/hook.conf");
    assert_defaults(conf);
}

static void the_directory_is_read_over_the_file_in_order(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *first = xasprintf("%s/hook.conf.d/10-first.conf", f->directory);
    _cleanup_free_ char *other = xasprintf("%s/hook.conf.d/notes.txt", f->directory);
    write_text(f->main, "metadata { servers = {\"http://a\", \"http://b\"} timeout-ms = 1 }\n"
                        "addons { skip = {\"istio\"} }\n");
    write_text(first, "metadata { timeout-ms = 2 deadline-ms = 20 }\n");
    write_text(f->over,
               "metadata { timeout-ms = 3 servers = {\"https://c:8080\"} }\nreport { url = \"http://d:9611\" }\n");
    write_text(other, "this is read by nobody\n");
    _cleanup_(conf_freep) struct conf *conf = load(f->main);
    assert_int_equal(strv_length(conf->metadata.servers), 1);
    assert_string_equal(conf->metadata.servers[0], "https://c:8080");
    assert_int_equal(conf->metadata.timeout_ms, 3);
    assert_int_equal(conf->metadata.deadline_ms, 20);
    assert_string_equal(conf->report.url, "http://d:9611");
    assert_true(strv_contains(conf->addons.skip, "istio"));
}

static void wrong_files_are_refused_with_file_and_line(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"nonsense = 3\n", "1: no such option 'nonsense'"},
        {"metadata {\n\n    server = \"http://a\"\n}\n", "3: no such option 'server'"},
        {"metadata {\n    servers = {\"http://a\",\n\"ftp://b\"}\n}\n",
         "3: servers has \"ftp://b\"; accepted: http://HOST[:PORT] or https://HOST[:PORT]"},
        {"/* one\n * two */ # three\n// four\n\naddons { skip = {\"#\", '//', \"/*\\\"\"} }\nx = 1\n",
         "6: no such option 'x'"},
        {"addons { skip = {\"a\n\nb\"} }\nx = 1\n", "4: no such option 'x'"},
        {"cloud { host = a//b#c\n}\nx = 1\n", "3: no such option 'x'"},
        {"\n/* cloud { }\n", "2: unterminated comment"},
        {"\ncloud { host = \"api }\n\n", "2: unterminated string"},
        {"cloud { host = \"a\\\"b\" }\ncloud { host = a\\b }\n", "2: a backslash stands outside quotes"},
        {"cloud { }\n}\n", "2: unexpected closing brace"},
        {"# one\ntimeouts { unit-s = soon }\n", "2: invalid integer value for option 'unit-s'"},
        {"timeouts {\nunit-s = 0\n}\n", "2: unit-s is 0; accepted: 1 to 2147483647"},
        {"timeouts {\nevent-s = -1\n}\n", "2: event-s is -1; accepted: 0 to 2147483647"},
        {"timeouts { api-s = 99999999999999999999 }\n", "1: integer value for option 'api-s' is out of range"},
        {"cloud { port = 65536 }\n", "1: port is 65536; accepted: 1 to 65535"},
        {"cloud { protocol = gopher }\n", "1: protocol is \"gopher\"; accepted: https, http"},
        {"network { mode = flannel }\n", "1: mode is \"flannel\"; accepted: auto, bridge"},
        {"paths { data = data }\n", "1: data is \"data\"; accepted: an absolute path"},
        {"addons { enabled = perhaps }\n", "1: invalid boolean value for option 'enabled'"},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        write_text(f->main, cases[i].text);
        _cleanup_free_ char *message = xasprintf("%s:%s", f->main, cases[i].complaint);
        assert_refused(f->main, message);
    }
}

static void the_directorys_file_is_named_when_it_is_wrong(void **state)
{
    struct fixture *f = *state;
    write_text(f->over, "\n\npaths { nowhere = \"/x\" }\n");
    write_text(f->main, "");
    _cleanup_free_ char *message = xasprintf("%s:3: no such option 'nowhere'", f->over);
    assert_refused(f->main, message);
}

static void a_section_without_an_end_is_refused(void **state)
{
    struct fixture *f = *state;
    write_text(f->main, "timeouts {\n    unit-s = 3\n");
    _cleanup_free_ char *message = xasprintf("%s:1: this \"{\" has no \"}\"", f->main);
    assert_refused(f->main, message);
}

static void programs_in_a_build_directory_use_their_tree(void **state)
{
    (void)state;
    _cleanup_(conf_freep) struct conf *conf = NULL;
    assert_int_equal(conf_load(&conf, "/nonexistent/hook.conf", false, NULL), 0);
    _cleanup_free_ char *here = realpath(".", NULL);
    _cleanup_free_ char *roles = xasprintf("%s/roles", here);
    _cleanup_free_ char *templates = xasprintf("%s/templates", here);
    assert_string_equal(conf->paths.roles, roles);
    assert_string_equal(conf->paths.templates, templates);
}

static void the_agents_file_names_the_servers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *joined;
    } cases[] = {
        {"backend = \"metad\"\nnodes = [\"http://10.0.0.2:80\", \"http://10.0.0.3\"]\n",
         "http://10.0.0.2:80 http://10.0.0.3 "},
        {"nodes=['http://a']", "http://a "},
        {"  nodes = [\n  \"http://a\", # first\n  \"http://b\",\n]\nnodes = [\"http://c\"]\n", "http://a http://b "},
        {"nodes = [\"10.0.0.2:80\"]\n", "http://10.0.0.2:80 "},
        {"# nodes = [\"http://a\"]\nnodesx = [\"http://b\"]\nsrv_nodes = [\"http://c\"]\n", ""},
        {"nodes = []\n", ""},
        {"nodes = [\"\"]\n", ""},
        {"nodes = [\"http://a\", \"http://b\n", "http://a "},
        {"nodes = \"http://a\"\n", ""},
        {"nodes", ""},
        {"", ""},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_strv_ char **nodes = confd_parse_nodes(cases[i].text);
        _cleanup_buffer_ struct buffer joined = {0};
        buffer_puts(&joined, "");
        for (char **node = nodes; *node != NULL; node++) {
            buffer_printf(&joined, "%s ", *node);
        }
        assert_string_equal(joined.data, cases[i].joined);
    }
    _cleanup_strv_ char **absent = confd_nodes("/nonexistent/confd.toml");
    assert_int_equal(strv_length(absent), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_absent_file_gives_the_defaults),          TEST(a_required_file_must_be_there),
        TEST(the_shipped_file_says_the_defaults),         TEST(the_directory_is_read_over_the_file_in_order),
        TEST(wrong_files_are_refused_with_file_and_line), TEST(the_directorys_file_is_named_when_it_is_wrong),
        TEST(a_section_without_an_end_is_refused),        TEST(programs_in_a_build_directory_use_their_tree),
        TEST(the_agents_file_names_the_servers),
    };
    return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
