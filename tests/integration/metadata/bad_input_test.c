/* Bad input of every kind to the built programs: a status of its own, a message that says what and where, and a disk
 * that is as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <ftw.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/status.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/shared/cluster.h"
#include "tests/lab/shared/metad.h"

enum { LONG = 120000 }; /* ms; no test waits this long unless it fails */

struct fixture {
    char directory[32];
    char *root, *conf, *url;
    struct metad *metad;
};

static const char *build_directory(void)
{
    const char *build = getenv("BUILD");
    return build != NULL ? build : "build";
}

static void write_text(const char *path, const char *text)
{
    struct file_spec spec = {
        .path = path, .data = text, .len = strlen(text), .mode = 0644, .uid = geteuid(), .gid = getegid()};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

/* A whole cluster, seen from its first node. */
static json_t *good_view(void)
{
    _cleanup_json_ json_t *cluster = cluster_load("three-logs", NULL);
    json_t *view = cluster_view(cluster, "node", 1);
    assert_non_null(view);
    json_t *copy = json_deep_copy(view);
    json_decref(view);
    return copy;
}

static void serve(struct fixture *f, const json_t *view)
{
    _cleanup_json_ json_t *data = json_pack("{s:O}", "view", view);
    _cleanup_json_ json_t *mapping = json_object();
    const char *name = NULL;
    json_t *member = NULL;
    json_object_foreach ((json_t *)view, name, member) {
        json_object_set_new(mapping, name, json_sprintf("/view/%s", name));
    }
    metad_set(f->metad, "/", data);
    metad_map(f->metad, "127.0.0.1", mapping);
}

/* How long bad metadata is requested again, in ms. On a loaded machine the first limit may pass before there was an
 * answer at all: then the next one counts. */
static const int limits[] = {400, 6000, LONG / 2};

static void limit_requests(struct fixture *f, int deadline_ms)
{
    _cleanup_free_ char *text =
        xasprintf("metadata { timeout-ms = %d deadline-ms = %d }\n", deadline_ms / 2, deadline_ms);
    write_text(f->conf, text);
}

/* Runs "k8s-node EVENT" on the fixture's root, configuration and server, init and start with --dry-run, as they need a
 * machine; the status, and everything it printed. */
static int run_node(struct fixture *f, const char *event, const char *source, char **printed)
{
    _cleanup_free_ char *program = xasprintf("%s/bin/k8s-node", build_directory());
    _cleanup_free_ char *absolute = realpath(program, NULL);
    bool machine = strcmp(event, "init") == 0 || strcmp(event, "start") == 0;
    const char *argv[] = {
        absolute, event, "--root", f->root, "--config", f->conf, "--metadata", source, machine ? "--dry-run" : NULL,
        NULL};
    struct proc proc = {.argv = argv, .deadline = deadline_in(INT64_C(2) * LONG), .keep_output = true};
    struct proc_result result = {0};
    _cleanup_error_ struct error *err = NULL;
    (void)proc_run(&proc, &result, &err);
    int status = result.status;
    *printed = xstrdup(result.tail != NULL ? result.tail : "");
    proc_result_free(&result);
    return status;
}

static struct buffer listing;

static int list_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)type;
    (void)ftw;
    _cleanup_free_ char *hash = NULL;
    if (S_ISREG(st->st_mode) && sha256_file(path, &hash, NULL) < 0) {
        return -1;
    }
    buffer_printf(&listing, "%s %o %u %s %lld\n", path, st->st_mode, st->st_uid, hash != NULL ? hash : "-",
                  (long long)st->st_mtim.tv_nsec);
    return 0;
}

/* Every file and directory below the root with its mode, content and time. */
static char *snapshot(const struct fixture *f)
{
    listing = (struct buffer){0};
    buffer_puts(&listing, "files:\n");
    assert_int_equal(nftw(f->root, list_one, 16, FTW_PHYS), 0);
    return listing.data;
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    *state = f;
    strcpy(f->directory, "/tmp/bad_input_test.XXXXXX");
    if (mkdtemp(f->directory) == NULL || metad_start(&f->metad, "127.0.0.1", 0, NULL, 0, NULL) < 0) {
        return -1;
    }
    f->root = xasprintf("%s/root", f->directory);
    f->conf = xasprintf("%s/hook.conf", f->directory);
    f->url = xasprintf("http://127.0.0.1:%u", metad_port(f->metad));
    limit_requests(f, LONG);
    /* A machine whose files are those of good metadata. */
    _cleanup_json_ json_t *view = good_view();
    _cleanup_free_ char *printed = NULL;
    serve(f, view);
    if (run_node(f, "render", f->url, &printed) != 0) {
        print_error("%s\n", printed);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    metad_stopp(&f->metad);
    int r = proc_exec(deadline_in(LONG), NULL, "rm", "-rf", f->directory, NULL);
    free(f->root);
    free(f->conf);
    free(f->url);
    free(f);
    return r;
}

static const char *const events[] = {"render", "init", "start", "reload", "facts"};

/* Whether EVENT refuses so, and leaves the machine alone. The LAST time it has to. */
static bool refuses(struct fixture *f, const char *event, const char *source, int status, const char *text, bool last)
{
    _cleanup_free_ char *before = snapshot(f);
    _cleanup_free_ char *printed = NULL;
    int got = run_node(f, event, source, &printed);
    _cleanup_free_ char *after = snapshot(f);
    bool good = got == status && strstr(printed, text) != NULL;
    if (last && !good) {
        fail_msg("%s: status %d, not %d, and printed (\"%s\" was expected):\n%s", event, got, status, text, printed);
    }
    assert_string_equal(before, after);
    return good;
}

/* Each event refuses in the same way and leaves the machine alone. */
static void assert_refused(struct fixture *f, const char *source, int status, const char *text)
{
    for (size_t i = 0; i < ELEMENTS(events); i++) {
        (void)refuses(f, events[i], source, status, text, true);
    }
}

/* The same of what is requested again until a time limit. */
static void assert_answer_refused(struct fixture *f, const char *source, int status, const char *text)
{
    for (size_t i = 0; i < ELEMENTS(events); i++) {
        for (size_t limit = 0; limit < ELEMENTS(limits); limit++) {
            limit_requests(f, limits[limit]);
            if (refuses(f, events[i], source, status, text, limit + 1 == ELEMENTS(limits))) {
                break;
            }
        }
    }
}

static void good_input_is_accepted(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *before = snapshot(f);
    _cleanup_free_ char *printed = NULL;
    assert_int_equal(run_node(f, "render", f->url, &printed), 0);
    _cleanup_free_ char *after = snapshot(f);
    assert_string_equal(before, after);
    assert_non_null(strstr(before, "/etc/docker/daemon.json"));
}

static void an_absent_server(void **state)
{
    struct fixture *f = *state;
    /* Bound, so that nobody else gets the port, and not listening. */
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof where;
    assert_int_equal(bind(fd, (struct sockaddr *)&where, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &len), 0);
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u", ntohs(where.sin_port));
    assert_answer_refused(f, url, STATUS_METADATA_UNREACHABLE, url);
}

static void a_slow_server(void **state)
{
    struct fixture *f = *state;
    metad_fault(f->metad, &(struct metad_fault){.kind = METAD_HANG});
    assert_answer_refused(f, f->url, STATUS_METADATA_UNREACHABLE, "no complete answer within");
}

static void a_server_that_does_not_know_the_host(void **state)
{
    struct fixture *f = *state;
    metad_map(f->metad, "127.0.0.1", NULL);
    assert_answer_refused(f, f->url, STATUS_METADATA_UNKNOWN_HOST, "HTTP 404 \"Not found\"");
}

static void garbage(void **state)
{
    struct fixture *f = *state;
    metad_fault(f->metad, &(struct metad_fault){.kind = METAD_BODY, .code = 200, .body = "<html>portal</html>"});
    assert_answer_refused(f, f->url, STATUS_METADATA_INVALID, "not JSON: wrong at line 1 column 1");
}

static void half_a_json(void **state)
{
    struct fixture *f = *state;
    metad_fault(f->metad, &(struct metad_fault){.kind = METAD_HALF});
    assert_answer_refused(f, f->url, STATUS_METADATA_INVALID, "the JSON ends too early");
}

static void a_leaf_that_is_a_number(void **state)
{
    struct fixture *f = *state;
    metad_fault(f->metad,
                &(struct metad_fault){.kind = METAD_BODY, .code = 200, .body = "{\"env\":{\"max_pods\":60}}"});
    assert_answer_refused(f, f->url, STATUS_METADATA_INVALID, "/env/max_pods is a number");
}

static void a_tree_without_a_cluster(void **state)
{
    struct fixture *f = *state;
    metad_fault(f->metad, &(struct metad_fault){.kind = METAD_BODY, .code = 200, .body = "{}"});
    assert_answer_refused(f, f->url, STATUS_METADATA_INVALID, "/cluster/cluster_id");
}

static void set_parameter(struct fixture *f, const char *key, const char *value)
{
    _cleanup_json_ json_t *view = good_view();
    json_object_set_new(json_object_get(view, "env"), key, json_string(value));
    serve(f, view);
}

static void parameters_out_of_range(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *key, *value;
    } cases[] = {
        {"max_pods", "61"},  {"keep_log_days", "31"},       {"kube_log_level", "11"},   {"enable_hostnic", "yes"},
        {"docker_bip", "x"}, {"cluster_port_range", "9-1"}, {"access_key_id", "short"},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        set_parameter(f, cases[i].key, cases[i].value);
        assert_refused(f, f->url, STATUS_PARAMETER, cases[i].key);
    }
}

static void a_wrong_secret_is_not_shown(void **state)
{
    struct fixture *f = *state;
    set_parameter(f, "secret_access_key", "half-a-secret");
    _cleanup_free_ char *printed = NULL;
    assert_int_equal(run_node(f, "render", f->url, &printed), STATUS_PARAMETER);
    assert_non_null(strstr(printed, "secret_access_key"));
    assert_null(strstr(printed, "half-a-secret"));
}

static void an_unknown_key_in_the_configuration(void **state)
{
    struct fixture *f = *state;
    write_text(f->conf, "metadata {\n    timeout = 3\n}\n");
    _cleanup_free_ char *text = xasprintf("%s:2: no such option 'timeout'", f->conf);
    assert_refused(f, f->url, STATUS_CONFIG, text);
}

static void an_absent_configuration_that_was_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unlink(f->conf), 0);
    assert_refused(f, f->url, STATUS_CONFIG, f->conf);
}

/* Copies the tree's roles and templates so that one can be spoiled. */
static void use_copy(struct fixture *f)
{
    assert_int_equal(proc_exec(deadline_in(LONG), NULL, "cp", "-r", "roles", "templates", f->directory, NULL), 0);
    _cleanup_free_ char *text = xasprintf("metadata { timeout-ms = 60000 deadline-ms = 60000 }\n"
                                          "paths { roles = \"%s/roles\" templates = \"%s/templates\" }\n",
                                          f->directory, f->directory);
    write_text(f->conf, text);
}

static void assert_render_refused(struct fixture *f, int status, const char *text)
{
    _cleanup_free_ char *before = snapshot(f);
    _cleanup_free_ char *printed = NULL;
    int got = run_node(f, "render", f->url, &printed);
    if (got != (int)status || strstr(printed, text) == NULL) {
        fail_msg("status %d, not %d, and printed (\"%s\" was expected):\n%s", got, (int)status, text, printed);
    }
    _cleanup_free_ char *after = snapshot(f);
    assert_string_equal(before, after);
}

static void a_template_with_an_unknown_name(void **state)
{
    struct fixture *f = *state;
    use_copy(f);
    /* Another file would change too: none may, when one cannot be rendered. */
    set_parameter(f, "docker_bip", "172.31.0.1/16");
    _cleanup_free_ char *path = xasprintf("%s/templates/kubelet/kubelet.yaml.mustache", f->directory);
    write_text(path, "kind: x\nmaxPods: {{kube.max_cats}}\n");
    assert_render_refused(f, STATUS_TEMPLATE, "kubelet.yaml.mustache:2");
}

static void a_role_with_an_unknown_key(void **state)
{
    struct fixture *f = *state;
    use_copy(f);
    _cleanup_free_ char *path = xasprintf("%s/roles/node.conf", f->directory);
    write_text(path, "# one\nfile \"x\" {\n    templat = \"y\"\n}\n");
    _cleanup_free_ char *text = xasprintf("%s:3: no such option 'templat'", path);
    assert_render_refused(f, STATUS_CONFIG, text);
}

static void a_role_that_is_not_this_hosts(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *cluster = cluster_load("three-logs", NULL);
    _cleanup_json_ json_t *view = cluster_view(cluster, "master", 1);
    serve(f, view);
    assert_refused(f, f->url, STATUS_USAGE, "run k8s-master");
}

static void wrong_command_lines(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {"", "explode", "--nonsense"};
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        _cleanup_free_ char *printed = NULL;
        assert_int_equal(run_node(f, wrong[i], f->url, &printed), STATUS_USAGE);
        assert_true(strlen(printed) > 0);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_input_is_accepted),
        TEST(an_absent_server),
        TEST(a_slow_server),
        TEST(a_server_that_does_not_know_the_host),
        TEST(garbage),
        TEST(half_a_json),
        TEST(a_leaf_that_is_a_number),
        TEST(a_tree_without_a_cluster),
        TEST(parameters_out_of_range),
        TEST(a_wrong_secret_is_not_shown),
        TEST(an_unknown_key_in_the_configuration),
        TEST(an_absent_configuration_that_was_named),
        TEST(a_template_with_an_unknown_name),
        TEST(a_role_with_an_unknown_key),
        TEST(a_role_that_is_not_this_hosts),
        TEST(wrong_command_lines),
    };
    return cmocka_run_group_tests_name("bad input", tests, NULL, NULL);
}
