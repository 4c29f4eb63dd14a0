/* The metadata client against servers that behave, and that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/http.h"
#include "lib/interrupt.h"
#include "lib/log.h"
#include "lib/meta.h"
#include "lib/meta_tree.h"
#include "lib/proc.h"
#include "tests/lab/shared/metad.h"

enum { LONG = 60000 }; /* ms; no test waits this long unless it fails */

struct fixture {
    char directory[32];
    struct metad *servers[2];
    char *urls[3]; /* of the servers, NULL-terminated */
    char *cache;
    struct conf conf;
    struct meta *meta;
};

static void give_view(struct metad *metad)
{
    _cleanup_json_ json_t *data =
        json_pack("{s:{s:{s:{s:s}, s:{s:{s:{s:s}}}, s:{s:s}}}}", "clusters", "cl-1", "env", "max_pods", "60", "hosts",
                  "node", "i-1", "ip", "127.0.0.1", "cluster", "cluster_id", "cl-1");
    _cleanup_json_ json_t *mapping = metad_vm_mapping("cl-1", "node", "i-1");
    metad_set(metad, "/", data);
    metad_map(metad, "127.0.0.1", mapping);
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    *state = f;
    strcpy(f->directory, "/tmp/meta_test.XXXXXX");
    if (mkdtemp(f->directory) == NULL) {
        return -1;
    }
    for (size_t i = 0; i < ELEMENTS(f->servers); i++) {
        if (metad_start(&f->servers[i], "127.0.0.1", 0, "127.0.0.1", 0, NULL) < 0) {
            return -1;
        }
        f->urls[i] = xasprintf("http://127.0.0.1:%u/", metad_port(f->servers[i]));
        give_view(f->servers[i]);
    }
    f->cache = xasprintf("%s/metadata.json", f->directory);
    f->conf.metadata.servers = f->urls;
    f->conf.metadata.timeout_ms = LONG;
    f->conf.metadata.deadline_ms = LONG;
    f->conf.metadata.cache = f->cache;
    return meta_open(&f->meta, &f->conf, NULL, NULL);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    meta_freep(&f->meta);
    for (size_t i = 0; i < ELEMENTS(f->servers); i++) {
        metad_stopp(&f->servers[i]);
        free(f->urls[i]);
    }
    int r = proc_exec(deadline_in(LONG), NULL, "rm", "-rf", f->directory, NULL);
    free(f->cache);
    free(f);
    return r;
}

/* The client with other time limits. */
static void reopen(struct fixture *f, int timeout_ms, int deadline_ms)
{
    meta_freep(&f->meta);
    f->conf.metadata.timeout_ms = timeout_ms;
    f->conf.metadata.deadline_ms = deadline_ms;
    assert_int_equal(meta_open(&f->meta, &f->conf, NULL, NULL), 0);
}

static void fault_both(struct fixture *f, struct metad_fault fault)
{
    metad_fault(f->servers[0], &fault);
    metad_fault(f->servers[1], &fault);
}

static const char *leaf(const json_t *tree, const char *directory, const char *name)
{
    return json_string_value(json_object_get(json_object_get(tree, directory), name));
}

static bool absent(const char *path)
{
    return access(path, F_OK) < 0;
}

static void set_leaf(struct metad *metad, const char *path, const char *text)
{
    _cleanup_json_ json_t *value = json_string(text);
    metad_set(metad, path, value);
}

static void a_good_answer_is_given_and_cached_on_demand(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    assert_string_equal(leaf(tree, "env", "max_pods"), "60");
    assert_string_equal(leaf(tree, "host", "ip"), "127.0.0.1");
    assert_true(absent(f->cache));
    meta_keep(f->meta, tree);
    struct stat st;
    assert_int_equal(lstat(f->cache, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    _cleanup_json_ json_t *cached = NULL;
    assert_int_equal(meta_cached(f->meta, &cached, NULL), 0);
    assert_true(json_equal(tree, cached));
    assert_int_equal(metad_requests(f->servers[1]), 0);
}

/* What METAD_FAULT on both servers comes to. */
static void assert_fails(struct fixture *f, struct metad_fault fault, enum status status, const char *text)
{
    fault_both(f, fault);
    reopen(f, LONG, 200);
    json_t *tree = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, &err), -1);
    assert_null(tree);
    assert_int_equal(err->status, status);
    assert_non_null(strstr(err->message, text));
    assert_true(absent(f->cache));
}

static void each_bad_answer_has_its_status(void **state)
{
    struct fixture *f = *state;
    const struct metad_fault not_found = {.kind = METAD_BODY, .code = 404, .body = "Not found"};
    const struct metad_fault broken = {.kind = METAD_BODY, .code = 500, .body = "no\nstore"};
    const struct metad_fault page = {.kind = METAD_BODY, .code = 200, .body = "<html>hello</html>"};
    const struct metad_fault number = {.kind = METAD_BODY, .code = 200, .body = "{\"env\":{\"max_pods\":60}}"};
    assert_fails(f, not_found, STATUS_METADATA_UNKNOWN_HOST, "HTTP 404 \"Not found\"");
    assert_fails(f, broken, STATUS_METADATA_UNREACHABLE, "HTTP 500 \"no store\"");
    assert_fails(f, page, STATUS_METADATA_INVALID, "this is no JSON");
    assert_fails(f, number, STATUS_METADATA_INVALID, "/env/max_pods is a number");
    assert_fails(f, (struct metad_fault){.kind = METAD_HALF}, STATUS_METADATA_INVALID, "the JSON ends too early");
    assert_fails(f, (struct metad_fault){.kind = METAD_CLOSE}, STATUS_METADATA_UNREACHABLE, "/self: ");
}

static void an_unknown_address_has_its_status(void **state)
{
    struct fixture *f = *state;
    metad_map(f->servers[0], "127.0.0.1", NULL);
    metad_map(f->servers[1], "127.0.0.1", NULL);
    assert_fails(f, (struct metad_fault){0}, STATUS_METADATA_UNKNOWN_HOST, "Not found");
}

static void slow_servers_end_at_the_deadline(void **state)
{
    struct fixture *f = *state;
    fault_both(f, (struct metad_fault){.kind = METAD_HANG});
    reopen(f, 50, 150);
    json_t *tree = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, &err), -1);
    assert_int_equal(err->status, STATUS_METADATA_UNREACHABLE);
    /* Both are named, and what they did. */
    for (size_t i = 0; i < ELEMENTS(f->servers); i++) {
        _cleanup_free_ char *place = xasprintf(":%u/self: no complete answer", metad_port(f->servers[i]));
        assert_non_null(strstr(err->message, place));
    }
}

static void absent_servers_are_named(void **state)
{
    struct fixture *f = *state;
    metad_stopp(&f->servers[0]);
    metad_stopp(&f->servers[1]);
    reopen(f, LONG, 150);
    json_t *tree = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, &err), -1);
    assert_int_equal(err->status, STATUS_METADATA_UNREACHABLE);
    for (size_t i = 0; i < ELEMENTS(f->servers); i++) {
        _cleanup_free_ char *url = xasprintf("GET %sself: ", f->urls[i]);
        assert_non_null(strstr(err->message, url));
    }
}

static void the_callers_deadline_counts_too(void **state)
{
    struct fixture *f = *state;
    fault_both(f, (struct metad_fault){.kind = METAD_HANG});
    json_t *tree = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(50), &tree, &err), -1);
    assert_int_equal(err->status, STATUS_METADATA_UNREACHABLE);
}

static void the_next_server_is_asked_whatever_the_first_does(void **state)
{
    struct fixture *f = *state;
    static const struct metad_fault faults[] = {
        {.kind = METAD_BODY, .code = 404, .body = "Not found"},
        {.kind = METAD_BODY, .code = 200, .body = "<html>"},
        {.kind = METAD_BODY, .code = 503, .body = "later"},
        {.kind = METAD_HALF},
        {.kind = METAD_CLOSE},
        {.kind = METAD_HANG},
    };
    for (size_t i = 0; i < ELEMENTS(faults); i++) {
        metad_fault(f->servers[0], &faults[i]);
        reopen(f, faults[i].kind == METAD_HANG ? 50 : LONG, LONG);
        unsigned before = metad_requests(f->servers[0]);
        _cleanup_json_ json_t *tree = NULL;
        assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
        assert_string_equal(leaf(tree, "env", "max_pods"), "60");
        assert_true(metad_requests(f->servers[0]) > before);
        /* The one that answered is asked first from now on. */
        before = metad_requests(f->servers[0]);
        _cleanup_json_ json_t *again = NULL;
        assert_int_equal(meta_get(f->meta, deadline_in(LONG), &again, NULL), 0);
        assert_int_equal(metad_requests(f->servers[0]), before);
    }
}

static void a_bad_moment_is_tried_again(void **state)
{
    struct fixture *f = *state;
    fault_both(f, (struct metad_fault){.kind = METAD_BODY, .code = 500, .body = "", .count = 2});
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    assert_int_equal(metad_requests(f->servers[0]), 3);
    assert_int_equal(metad_requests(f->servers[1]), 2);
}

static void a_late_answer_is_an_answer(void **state)
{
    struct fixture *f = *state;
    metad_fault(f->servers[0], &(struct metad_fault){.kind = METAD_DELAY, .delay_ms = 50});
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    assert_int_equal(metad_requests(f->servers[1]), 0);
}

static void one_named_server_is_the_only_one(void **state)
{
    struct fixture *f = *state;
    meta_freep(&f->meta);
    assert_int_equal(meta_open(&f->meta, &f->conf, f->urls[1], NULL), 0);
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    assert_int_equal(metad_requests(f->servers[0]), 0);
    meta_keep(f->meta, tree);
    assert_true(absent(f->cache));
}

static void the_agents_file_leads_to_the_servers(void **state)
{
    struct fixture *f = *state;
    char *none[] = {NULL};
    _cleanup_free_ char *toml = xasprintf("%s/confd.toml", f->directory);
    _cleanup_free_ char *text =
        xasprintf("backend = \"metad\"\nnodes = [\"127.0.0.1:%u\"]\n", metad_port(f->servers[1]));
    struct file_spec spec = {
        .path = toml, .data = text, .len = strlen(text), .mode = 0644, .uid = geteuid(), .gid = getegid()};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
    f->conf.metadata.servers = none;
    f->conf.metadata.confd_toml = toml;
    reopen(f, LONG, LONG);
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    assert_int_equal(metad_requests(f->servers[1]), 1);
}

static void a_cache_that_cannot_be_written_is_no_failure(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *impossible = xstrdup("/proc/nowhere/metadata.json");
    f->conf.metadata.cache = impossible;
    reopen(f, LONG, LONG);
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    meta_keep(f->meta, tree);
    assert_int_equal(meta_cached(f->meta, &tree, NULL), -1);
}

static void the_cache_serves_only_while_no_server_does(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *first = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &first, NULL), 0);
    meta_keep(f->meta, first);
    fault_both(f, (struct metad_fault){.kind = METAD_BODY, .code = 500, .body = ""});
    _cleanup_json_ json_t *cached = NULL;
    assert_int_equal(meta_get_or_cached(f->meta, deadline_in(50), &cached, NULL), 0);
    assert_true(json_equal(first, cached));

    fault_both(f, (struct metad_fault){.kind = METAD_GOOD});
    set_leaf(f->servers[0], "/clusters/cl-1/env/max_pods", "80");
    _cleanup_json_ json_t *fresh = NULL;
    assert_int_equal(meta_get_or_cached(f->meta, deadline_in(LONG), &fresh, NULL), 0);
    assert_string_equal(leaf(fresh, "env", "max_pods"), "80");
}

static void a_server_that_does_not_know_us_is_not_papered_over(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *first = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &first, NULL), 0);
    meta_keep(f->meta, first);
    fault_both(f, (struct metad_fault){.kind = METAD_BODY, .code = 404, .body = "Not found"});
    json_t *tree = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(meta_get_or_cached(f->meta, deadline_in(50), &tree, &err), -1);
    assert_int_equal(err->status, STATUS_METADATA_UNKNOWN_HOST);
}

static void without_cache_the_servers_fault_is_told(void **state)
{
    struct fixture *f = *state;
    fault_both(f, (struct metad_fault){.kind = METAD_BODY, .code = 500, .body = ""});
    json_t *tree = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(meta_get_or_cached(f->meta, deadline_in(50), &tree, &err), -1);
    assert_int_equal(err->status, STATUS_METADATA_UNREACHABLE);
    assert_non_null(strstr(err->message, "HTTP 500"));
}

/* A client that waits in a thread of its own. */
struct waiter {
    pthread_t thread;
    struct meta *meta;
    int64_t ms;
    int result;
    json_t *tree;
    struct error *err;
};

static void *wait_for_news(void *context)
{
    struct waiter *waiter = context;
    waiter->result = meta_wait(waiter->meta, deadline_in(waiter->ms), &waiter->tree, &waiter->err);
    return NULL;
}

static void start_waiting(struct waiter *waiter, struct fixture *f, int64_t ms)
{
    *waiter = (struct waiter){.meta = f->meta, .ms = ms};
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    assert_int_equal(pthread_create(&waiter->thread, NULL, wait_for_news, waiter), 0);
    assert_true(metad_await_held(f->servers[0], 1, LONG));
}

static void a_change_ends_the_long_poll(void **state)
{
    struct fixture *f = *state;
    struct waiter waiter;
    start_waiting(&waiter, f, LONG);
    set_leaf(f->servers[0], "/clusters/cl-1/hosts/node/i-1/token", "abc");
    pthread_join(waiter.thread, NULL);
    _cleanup_json_ json_t *tree = waiter.tree;
    assert_int_equal(waiter.result, 0);
    assert_string_equal(leaf(tree, "host", "token"), "abc");
    assert_int_equal(metad_requests(f->servers[0]), 2);
}

static void a_change_that_came_before_is_not_missed(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    set_leaf(f->servers[0], "/clusters/cl-1/env/max_pods", "80");
    _cleanup_json_ json_t *news = NULL;
    assert_int_equal(meta_wait(f->meta, deadline_in(LONG), &news, NULL), 0);
    assert_string_equal(leaf(news, "env", "max_pods"), "80");
}

static void others_changes_do_not_end_the_wait(void **state)
{
    struct fixture *f = *state;
    struct waiter waiter;
    start_waiting(&waiter, f, LONG);
    set_leaf(f->servers[0], "/clusters/cl-2/env/max_pods", "80");
    /* It asks anew with the new version. */
    assert_true(metad_await_held(f->servers[0], 1, LONG));
    set_leaf(f->servers[0], "/clusters/cl-1/env/max_pods", "100");
    pthread_join(waiter.thread, NULL);
    _cleanup_json_ json_t *tree = waiter.tree;
    assert_int_equal(waiter.result, 0);
    assert_string_equal(leaf(tree, "env", "max_pods"), "100");
}

static void nothing_new_is_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct waiter waiter;
    start_waiting(&waiter, f, 300);
    pthread_join(waiter.thread, NULL);
    _cleanup_error_ struct error *err = waiter.err;
    assert_int_equal(waiter.result, -1);
    assert_int_equal(err->status, STATUS_DEADLINE);
    assert_null(waiter.tree);
}

static void a_dead_server_during_the_wait_hands_over_to_the_next(void **state)
{
    struct fixture *f = *state;
    struct waiter waiter;
    start_waiting(&waiter, f, LONG);
    set_leaf(f->servers[1], "/clusters/cl-1/env/max_pods", "120");
    metad_stopp(&f->servers[0]);
    pthread_join(waiter.thread, NULL);
    _cleanup_json_ json_t *tree = waiter.tree;
    assert_int_equal(waiter.result, 0);
    assert_string_equal(leaf(tree, "env", "max_pods"), "120");
}

static void the_first_wait_without_an_answer_before_is_a_get(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_wait(f->meta, deadline_in(LONG), &tree, NULL), 0);
    assert_string_equal(leaf(tree, "env", "max_pods"), "60");
}

/* In a process of its own, because a signal that was taken stays taken. */
static int wait_in_child(struct fixture *f, bool hold)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_(meta_freep) struct meta *meta = NULL;
    _cleanup_json_ json_t *tree = NULL;
    if (interrupt_open(NULL) < 0 || meta_open(&meta, &f->conf, NULL, NULL) < 0 ||
        (hold && meta_get(meta, deadline_in(LONG), &tree, NULL) < 0)) {
        return 1;
    }
    json_t *news = NULL;
    int r = hold ? meta_wait(meta, deadline_in(LONG), &news, &err) : meta_get(meta, deadline_in(LONG), &news, &err);
    return r == -1 && err->status == STATUS_INTERRUPTED && strstr(err->message, "SIGTERM") != NULL ? 0 : 2;
}

static void assert_ended_by_sigterm(struct fixture *f, bool hold)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(wait_in_child(f, hold));
    }
    bool held = metad_await_held(f->servers[0], 1, LONG);
    assert_int_equal(kill(pid, SIGTERM), 0);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(held);
    assert_int_equal(status, 0);
}

static void a_signal_ends_the_long_poll(void **state)
{
    assert_ended_by_sigterm(*state, true);
}

static void a_signal_ends_a_request(void **state)
{
    struct fixture *f = *state;
    metad_fault(f->servers[0], &(struct metad_fault){.kind = METAD_HANG});
    assert_ended_by_sigterm(f, false);
}

static void health_is_reported_under_the_host(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u", metad_manage_port(f->servers[0]));
    _cleanup_json_ json_t *body = json_pack("{s:s}", "status", "healthy");
    assert_int_equal(meta_report(url, "cl-1", "node", "i-1", body, deadline_in(LONG), NULL), 0);
    _cleanup_json_ json_t *there = metad_get(f->servers[0], "/clusters/cl-1/hosts/node/i-1/health");
    assert_true(json_equal(there, body));
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(meta_report(f->urls[0], "cl-1", "node", "i-1", body, deadline_in(LONG), &err), -1);
    assert_int_equal(err->status, STATUS_METADATA_UNREACHABLE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_answer_is_given_and_cached_on_demand),
        TEST(each_bad_answer_has_its_status),
        TEST(an_unknown_address_has_its_status),
        TEST(slow_servers_end_at_the_deadline),
        TEST(absent_servers_are_named),
        TEST(the_callers_deadline_counts_too),
        TEST(the_next_server_is_asked_whatever_the_first_does),
        TEST(a_bad_moment_is_tried_again),
        TEST(a_late_answer_is_an_answer),
        TEST(one_named_server_is_the_only_one),
        TEST(the_agents_file_leads_to_the_servers),
        TEST(a_cache_that_cannot_be_written_is_no_failure),
        TEST(the_cache_serves_only_while_no_server_does),
        TEST(a_server_that_does_not_know_us_is_not_papered_over),
        TEST(without_cache_the_servers_fault_is_told),
        TEST(a_change_ends_the_long_poll),
        TEST(a_change_that_came_before_is_not_missed),
        TEST(others_changes_do_not_end_the_wait),
        TEST(nothing_new_is_the_deadline),
        TEST(a_dead_server_during_the_wait_hands_over_to_the_next),
        TEST(the_first_wait_without_an_answer_before_is_a_get),
        TEST(a_signal_ends_the_long_poll),
        TEST(a_signal_ends_a_request),
        TEST(health_is_reported_under_the_host),
    };
    log_open("meta_test", NULL, NULL, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests_name("metadata client", tests, NULL, NULL);
}
