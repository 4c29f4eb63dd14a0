#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/http.h"
#include "tests/lab/shared/metad.h"

/* A metadata server is the HTTP server at hand: it echoes what its management listener was given. */
static struct metad *metad;
static char *data_url, *self_url;
static struct http *http;

static int set_up(void **state)
{
    (void)state;
    if (metad_start(&metad, "127.0.0.1", 0, "127.0.0.1", 0, NULL) < 0 || http_open(&http, NULL, NULL) < 0) {
        return -1;
    }
    data_url = xasprintf("http://127.0.0.1:%u/v1/data", metad_manage_port(metad));
    self_url = xasprintf("http://127.0.0.1:%u/self", metad_port(metad));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_freep(&http);
    metad_stopp(&metad);
    free(data_url);
    free(self_url);
    return 0;
}

static int request(const char *method, const char *url, const char *body, struct http_answer *answer,
                   struct error **err)
{
    static const char *const headers[] = {"Accept: application/json", NULL};
    struct http_request r = {
        .method = method, .url = url, .headers = headers, .body = body, .body_len = body != NULL ? strlen(body) : 0};
    return http_do(http, &r, deadline_in(120000), STATUS_COMMAND, answer, err);
}

static void methods_bodies_and_headers_go_through(void **state)
{
    (void)state;
    static const struct {
        const char *method, *body, *answer;
    } steps[] = {
        {"POST", "{\"a\":\"1\"}", "OK"},
        {"PUT", "{\"b\":\"2\"}", "OK"},
        {NULL, NULL, "{\"a\":\"1\",\"b\":\"2\"}"},
        {"DELETE", NULL, "OK"},
        {"GET", NULL, "{}"},
    };
    for (size_t i = 0; i < ELEMENTS(steps); i++) {
        _cleanup_answer_ struct http_answer answer = {0};
        assert_int_equal(request(steps[i].method, data_url, steps[i].body, &answer, NULL), 0);
        assert_int_equal(answer.code, 200);
        assert_string_equal(answer.body.data, steps[i].answer);
        assert_int_equal(answer.body.len, strlen(steps[i].answer));
    }
}

static void a_post_without_a_body_is_a_post(void **state)
{
    (void)state;
    _cleanup_answer_ struct http_answer answer = {0};
    assert_int_equal(request("POST", data_url, NULL, &answer, NULL), 0);
    assert_int_equal(answer.code, 400);
}

static void every_http_status_is_returned_to_the_caller(void **state)
{
    (void)state;
    static const unsigned codes[] = {200, 204, 301, 404, 500};
    for (size_t i = 0; i < ELEMENTS(codes); i++) {
        metad_fault(metad,
                    &(struct metad_fault){.kind = METAD_BODY, .code = codes[i], .body = codes[i] == 204 ? "" : "said"});
        _cleanup_answer_ struct http_answer answer = {0};
        assert_int_equal(request(NULL, self_url, NULL, &answer, NULL), 0);
        assert_int_equal(answer.code, codes[i]);
        assert_string_equal(answer.body.data, codes[i] == 204 ? "" : "said");
    }
}

static void content_type_and_version_are_kept(void **state)
{
    (void)state;
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_free_ char *version = xasprintf("%llu", (unsigned long long)metad_version(metad));
    assert_int_equal(request(NULL, self_url, NULL, &answer, NULL), 0);
    assert_string_equal(answer.metad_version, version);
    assert_string_equal(answer.content_type, "text/plain; charset=utf-8");
}

static void a_body_over_the_limit_is_refused(void **state)
{
    (void)state;
    metad_fault(metad, &(struct metad_fault){.kind = METAD_BODY, .code = 200, .body = "0123456789"});
    struct http_request r = {.url = self_url, .limit = 10};
    _cleanup_answer_ struct http_answer fits = {0};
    assert_int_equal(http_do(http, &r, deadline_in(120000), STATUS_COMMAND, &fits, NULL), 0);
    r.limit = 9;
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(http_do(http, &r, deadline_in(120000), STATUS_COMMAND, &answer, &err), -1);
    assert_int_equal(err->status, STATUS_COMMAND);
    assert_non_null(strstr(err->message, "longer than 9 bytes"));
    assert_null(answer.body.data);
}

static void a_connection_cut_half_way_is_an_error(void **state)
{
    (void)state;
    _cleanup_json_ json_t *mapping = json_pack("{s:s}", "all", "/");
    _cleanup_json_ json_t *value = json_pack("{s:s}", "key", "a value long enough to be cut in two");
    metad_map(metad, "127.0.0.1", mapping);
    metad_set(metad, "/", value);
    metad_fault(metad, &(struct metad_fault){.kind = METAD_CLOSE});
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(request(NULL, self_url, NULL, &answer, &err), -1);
    assert_int_equal(err->status, STATUS_COMMAND);
}

static void a_silent_server_ends_at_the_deadline(void **state)
{
    (void)state;
    metad_fault(metad, &(struct metad_fault){.kind = METAD_HANG});
    struct http_request r = {.url = self_url};
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(http_do(http, &r, deadline_in(100), STATUS_COMMAND, &answer, &err), -1);
    assert_int_equal(err->status, STATUS_DEADLINE);
    assert_non_null(strstr(err->message, "no complete answer"));
    metad_fault(metad, &(struct metad_fault){.kind = METAD_GOOD});
    /* The handle is good for the next request. */
    _cleanup_answer_ struct http_answer next = {0};
    assert_int_equal(request(NULL, self_url, NULL, &next, NULL), 0);
}

static void a_refused_connection_names_the_url_without_its_query(void **state)
{
    (void)state;
    /* Bound, so that nobody else gets the port, and not listening. */
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof where;
    assert_int_equal(bind(fd, (struct sockaddr *)&where, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &len), 0);
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u/path?signature=secret", ntohs(where.sin_port));
    _cleanup_free_ char *begin = xasprintf("GET http://127.0.0.1:%u/path: ", ntohs(where.sin_port));
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(request(NULL, url, NULL, &answer, &err), -1);
    assert_int_equal(err->status, STATUS_COMMAND);
    assert_true(str_starts(err->message, begin));
    assert_null(strstr(err->message, "secret"));
}

static void only_http_is_spoken(void **state)
{
    (void)state;
    static const char *const urls[] = {"file:///etc/hostname", "ftp://127.0.0.1/", "not a url", ""};
    for (size_t i = 0; i < ELEMENTS(urls); i++) {
        _cleanup_answer_ struct http_answer answer = {0};
        _cleanup_error_ struct error *err = NULL;
        assert_int_equal(request(NULL, urls[i], NULL, &answer, &err), -1);
        assert_int_equal(err->status, STATUS_COMMAND);
    }
}

static void the_environments_proxy_is_not_used(void **state)
{
    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    _cleanup_answer_ struct http_answer answer = {0};
    int r = request(NULL, self_url, NULL, &answer, NULL);
    unsetenv("http_proxy");
    assert_int_equal(r, 0);
}

static void escaping_is_that_of_rfc_3986(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *escaped;
    } cases[] = {
        {"", ""},
        {"AZaz09-._~", "AZaz09-._~"},
        {" +/?&=#%", "%20%2B%2F%3F%26%3D%23%25"},
        {"\xc3\xa9\n*", "%C3%A9%0A%2A"},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_free_ char *escaped = http_escape(cases[i].plain);
        assert_string_equal(escaped, cases[i].escaped);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(methods_bodies_and_headers_go_through),
        TEST(a_post_without_a_body_is_a_post),
        TEST(every_http_status_is_returned_to_the_caller),
        TEST(content_type_and_version_are_kept),
        TEST(a_body_over_the_limit_is_refused),
        TEST(a_connection_cut_half_way_is_an_error),
        TEST(a_silent_server_ends_at_the_deadline),
        TEST(a_refused_connection_names_the_url_without_its_query),
        TEST(only_http_is_spoken),
        TEST(the_environments_proxy_is_not_used),
        TEST(escaping_is_that_of_rfc_3986),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
