/* The metadata client against servers that behave, and that do not. */
#include "tests/integration/metadata/meta_fixture.h"

#include <sys/stat.h>

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

/* How long bad answers are requested again, in ms. On a loaded machine the first limit may pass before there was an
 * answer at all: then the next one counts. */
static const int limits[] = {200, 5000, LONG};

/* meta_get fails within each of these; *err is of the first try that fails with STATUS and says TEXT, else of the last.
 */
static void get_fails(struct fixture *f, int status, const char *text, struct error **err)
{
    for (size_t i = 0; i < ELEMENTS(limits); i++) {
        json_t *tree = NULL;
        error_freep(err);
        assert_int_equal(meta_get(f->meta, deadline_in(limits[i]), &tree, err), -1);
        assert_null(tree);
        if ((*err)->status == status && strstr((*err)->message, text) != NULL) {
            return;
        }
    }
}

/* What METAD_FAULT on both servers comes to. */
static void assert_fails(struct fixture *f, struct metad_fault fault, int status, const char *text)
{
    fault_both(f, fault);
    reopen(f, LONG, LONG);
    _cleanup_error_ struct error *err = NULL;
    get_fails(f, status, text, &err);
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
    assert_fails(f, page, STATUS_METADATA_INVALID, "not JSON");
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
    reopen(f, 1000, 5000); /* time for a request to each of them, also on a loaded machine */
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

static void the_next_server_is_queried_whatever_the_first_answers(void **state)
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
        /* within this the other one has to answer, too */
        reopen(f, faults[i].kind == METAD_HANG ? 5000 : LONG, LONG);
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

static void a_transient_failure_is_retried(void **state)
{
    struct fixture *f = *state;
    fault_both(f, (struct metad_fault){.kind = METAD_BODY, .code = 500, .body = "", .count = 2});
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    assert_int_equal(metad_requests(f->servers[0]), 3);
    assert_int_equal(metad_requests(f->servers[1]), 2);
}

static void a_delayed_answer_is_used(void **state)
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

static void an_unwritable_cache_does_not_fail_the_request(void **state)
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

/* A stop or a destroy must not depend on the platform's answer being good. */
static void an_unusable_answer_is_replaced_by_the_cache(void **state)
{
    struct fixture *f = *state;
    static const struct metad_fault faults[] = {
        {.kind = METAD_BODY, .code = 404, .body = "Not found"},
        {.kind = METAD_HALF},
        {.kind = METAD_BODY, .code = 200, .body = "<html>portal</html>"},
    };
    _cleanup_json_ json_t *first = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &first, NULL), 0);
    meta_keep(f->meta, first);
    for (size_t i = 0; i < ELEMENTS(faults); i++) {
        _cleanup_json_ json_t *cached = NULL;
        fault_both(f, faults[i]);
        assert_int_equal(meta_get_or_cached(f->meta, deadline_in(50), &cached, NULL), 0);
        assert_true(json_equal(first, cached));
        /* what needs a live answer says what is wrong */
        _cleanup_error_ struct error *err = NULL;
        const int wanted = i == 0 ? STATUS_METADATA_UNKNOWN_HOST : STATUS_METADATA_INVALID;
        get_fails(f, wanted, "", &err);
        assert_int_equal(err->status, wanted);
    }
}

static void without_a_cache_the_servers_error_is_returned(void **state)
{
    struct fixture *f = *state;
    fault_both(f, (struct metad_fault){.kind = METAD_BODY, .code = 500, .body = ""});
    _cleanup_error_ struct error *err = NULL;
    for (size_t i = 0; i < ELEMENTS(limits) && (err == NULL || strstr(err->message, "HTTP 500") == NULL); i++) {
        json_t *tree = NULL;
        error_freep(&err);
        assert_int_equal(meta_get_or_cached(f->meta, deadline_in(limits[i]), &tree, &err), -1);
    }
    assert_int_equal(err->status, STATUS_METADATA_UNREACHABLE);
    assert_non_null(strstr(err->message, "HTTP 500"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_answer_is_given_and_cached_on_demand),
        TEST(each_bad_answer_has_its_status),
        TEST(an_unknown_address_has_its_status),
        TEST(slow_servers_end_at_the_deadline),
        TEST(absent_servers_are_named),
        TEST(the_callers_deadline_counts_too),
        TEST(the_next_server_is_queried_whatever_the_first_answers),
        TEST(a_transient_failure_is_retried),
        TEST(a_delayed_answer_is_used),
        TEST(one_named_server_is_the_only_one),
        TEST(the_agents_file_leads_to_the_servers),
        TEST(an_unwritable_cache_does_not_fail_the_request),
        TEST(the_cache_serves_only_while_no_server_does),
        TEST(an_unusable_answer_is_replaced_by_the_cache),
        TEST(without_a_cache_the_servers_error_is_returned),
        TEST(health_is_reported_under_the_host),
    };
    log_open("meta_test", NULL, NULL, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests_name("metadata client", tests, NULL, NULL);
}
