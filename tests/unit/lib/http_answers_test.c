/* What a server may answer: a thread that sends what a test gives it, byte for byte, over TCP or TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "lib/net/http.h"
#include "lib/system/proc.h"

static struct {
    int listener;
    unsigned port;
    pthread_t thread;
    const char *answers[8]; /* one for each request, over the connections in turn; NULL: the connection is closed */
    bool closes;            /* after each answer */
    int connections;
    char requests[4096]; /* all that came */
    SSL_CTX *tls;        /* NULL: plain */
} server;

static char *directory;

/* The next request up to its blank line; false at the end of the connection. */
static bool take_request(int fd, SSL *ssl)
{
    size_t len = strlen(server.requests);
    size_t start = len;
    while (strstr(server.requests + start, "\r\n\r\n") == NULL) {
        char *to = server.requests + len;
        size_t room = sizeof server.requests - len - 1;
        ssize_t n = ssl == NULL ? recv(fd, to, room, 0) : SSL_read(ssl, to, (int)room);
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
        server.requests[len] = '\0';
    }
    return true;
}

/* Plain, \1 goes out as a NUL byte. */
static void send_text(int fd, SSL *ssl, const char *text)
{
    if (ssl == NULL) {
        _cleanup_free_ char *bytes = xstrdup(text);
        size_t len = strlen(text);
        for (char *c = memchr(bytes, '\1', len); c != NULL; c = memchr(c, '\1', len - (size_t)(c - bytes))) {
            *c = '\0';
        }
        (void)!send(fd, bytes, len, MSG_NOSIGNAL);
    } else {
        (void)SSL_write(ssl, text, (int)strlen(text));
    }
}

static void *serve(void *unused)
{
    const char **answer = server.answers;
    (void)unused;
    for (;;) {
        int fd = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL;
        }
        server.connections++;
        SSL *ssl = server.tls == NULL ? NULL : SSL_new(server.tls);
        bool open = ssl == NULL || (SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1);
        while (open && take_request(fd, ssl) && *answer != NULL) {
            send_text(fd, ssl, *answer++);
            open = !server.closes;
        }
        answer += *answer == NULL;
        SSL_free(ssl);
        close(fd);
    }
}

static int set_up(void **state)
{
    struct sockaddr_in where = {.sin_family = AF_INET}; /* also 127.0.0.2 */
    socklen_t len = sizeof where;
    (void)state;
    memset(&server, 0, sizeof server);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server.listener, (struct sockaddr *)&where, len) < 0 || listen(server.listener, 8) < 0 ||
        getsockname(server.listener, (struct sockaddr *)&where, &len) < 0) {
        return -1;
    }
    server.port = ntohs(where.sin_port);
    return 0;
}

/* Once the answers are set. */
static void start(void)
{
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static int tear_down(void **state)
{
    (void)state;
    (void)shutdown(server.listener, SHUT_RDWR);
    if (server.thread != 0) {
        pthread_join(server.thread, NULL);
    }
    close(server.listener);
    SSL_CTX_free(server.tls);
    return 0;
}

static int get(struct http *http, const char *scheme, const char *host, struct http_answer *answer, struct error **err)
{
    _cleanup_free_ char *url = xasprintf("%s://%s:%u/path?q=1", scheme, host, server.port);
    const struct http_request request = {.url = url};
    return http_do(http, &request, deadline_in(120000), STATUS_COMMAND, answer, err);
}

static void answers_of_every_form_are_read(void **state)
{
    static const struct {
        const char *wire, *body;
        long code;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "abc", 200},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: r\r\n\r\n", "abc", 200},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx", "x", 404},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "", 304},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        server.answers[i] = cases[i].wire;
    }
    start();
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_(http_freep) struct http *http = NULL;
        _cleanup_answer_ struct http_answer answer = {0};
        assert_int_equal(http_open(&http, NULL, NULL), 0);
        assert_int_equal(get(http, "http", "127.0.0.1", &answer, NULL), 0);
        assert_int_equal(answer.code, cases[i].code);
        assert_string_equal(answer.body.data, cases[i].body);
    }
    assert_non_null(strstr(server.requests, "GET /path?q=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
}

/* Where its length is not told, its end is that of the connection. */
static void a_body_may_end_with_the_connection(void **state)
{
    (void)state;
    server.answers[0] = "HTTP/1.0 200 OK\r\n\r\nall of it";
    server.closes = true;
    start();
    _cleanup_(http_freep) struct http *http = NULL;
    _cleanup_answer_ struct http_answer answer = {0};
    assert_int_equal(http_open(&http, NULL, NULL), 0);
    assert_int_equal(get(http, "http", "127.0.0.1", &answer, NULL), 0);
    assert_string_equal(answer.body.data, "all of it");
}

static bool collect(void *context, const char *line)
{
    buffer_printf(context, "%s;", line);
    return true;
}

/* Its own line is given up to it, and the lines after it whole. */
static void a_nul_byte_holds_up_no_line(void **state)
{
    (void)state;
    server.answers[0] = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\none\nt\1wo\nthree\n";
    start();
    _cleanup_(http_freep) struct http *http = NULL;
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_buffer_ struct buffer lines = {0};
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u/", server.port);
    const struct http_request request = {.url = url, .line = collect, .line_context = &lines};
    assert_int_equal(http_open(&http, NULL, NULL), 0);
    assert_int_equal(http_do(http, &request, deadline_in(120000), STATUS_COMMAND, &answer, NULL), 0);
    assert_string_equal(lines.data, "one;t;three;");
}

static void nonsense_is_refused(void **state)
{
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        server.answers[i] = answers[i];
    }
    start();
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        _cleanup_(http_freep) struct http *http = NULL;
        _cleanup_answer_ struct http_answer answer = {0};
        _cleanup_error_ struct error *err = NULL;
        assert_int_equal(http_open(&http, NULL, NULL), 0);
        assert_int_equal(get(http, "http", "127.0.0.1", &answer, &err), -1);
        assert_int_equal(err->status, STATUS_COMMAND);
        assert_non_null(strstr(err->message, "not an HTTP answer"));
    }
}

static void a_connection_is_kept_until_the_server_closes_it(void **state)
{
    static const char kept[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    (void)state;
    server.answers[0] = kept;
    server.answers[1] = kept;
    server.answers[2] = NULL; /* closed instead of an answer: the request is sent again */
    server.answers[3] = kept;
    start();
    _cleanup_(http_freep) struct http *http = NULL;
    assert_int_equal(http_open(&http, NULL, NULL), 0);
    static const int connections[] = {1, 1, 2};
    for (size_t i = 0; i < ELEMENTS(connections); i++) {
        _cleanup_answer_ struct http_answer answer = {0};
        assert_int_equal(get(http, "http", "127.0.0.1", &answer, NULL), 0);
        assert_string_equal(answer.body.data, "ok");
        assert_int_equal(server.connections, connections[i]);
    }
}

static void nothing_can_be_slipped_into_a_request(void **state)
{
    static const char *const headers[] = {"X: 1\r\nY: 2", NULL};
    (void)state;
    start();
    _cleanup_(http_freep) struct http *http = NULL;
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u/", server.port);
    _cleanup_free_ char *lines = xasprintf("http://127.0.0.1:%u/ HTTP/1.1\r\nX: 1", server.port);
    const struct http_request requests[] = {
        {.url = lines}, {.url = url, .headers = headers}, {.url = url, .method = "GET / HTTP/1.1\r\nX: 1\r\n"}};
    assert_int_equal(http_open(&http, NULL, NULL), 0);
    for (size_t i = 0; i < ELEMENTS(requests); i++) {
        _cleanup_answer_ struct http_answer answer = {0};
        _cleanup_error_ struct error *err = NULL;
        assert_int_equal(http_do(http, &requests[i], deadline_in(120000), STATUS_COMMAND, &answer, &err), -1);
        assert_int_equal(err->status, STATUS_COMMAND);
    }
    assert_string_equal(server.requests, "");
}

static void a_name_that_nobody_has_is_an_error(void **state)
{
    (void)state;
    _cleanup_(http_freep) struct http *http = NULL;
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(http_open(&http, NULL, NULL), 0);
    assert_int_equal(get(http, "http", "no-such-host.invalid", &answer, &err), -1);
    assert_true(err->status == STATUS_COMMAND || err->status == STATUS_DEADLINE);
    assert_non_null(strstr(err->message, "http://no-such-host.invalid:"));
}

/* A certificate for 127.0.0.1 and localhost, its own CA. */
static void use_tls(void)
{
    _cleanup_free_ char *cert = xasprintf("%s/cert.pem", directory);
    _cleanup_free_ char *key = xasprintf("%s/key.pem", directory);
    if (access(cert, R_OK) < 0) {
        assert_int_equal(proc_exec(deadline_in(300000), NULL, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                   "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=test", "-addext",
                                   "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", cert, NULL),
                         0);
    }
    server.tls = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate_file(server.tls, cert, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(server.tls, key, SSL_FILETYPE_PEM), 1);
}

static void a_server_must_have_a_certificate_of_the_ca_for_its_name(void **state)
{
    static const char kept[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    (void)state;
    _cleanup_free_ char *ca = xasprintf("%s/cert.pem", directory);
    const struct {
        struct http_tls tls;
        const char *host, *complaint; /* NULL: none */
    } cases[] = {
        {{.ca = ca}, "127.0.0.1", NULL},
        {{.ca = ca}, "localhost", NULL},
        {{.self_signed = true}, "127.0.0.1", NULL},
        {{.ca = ca}, "127.0.0.2", "IP address mismatch"},
        {{.ca = NULL}, "127.0.0.1", "self-signed certificate"},
        {{.ca = "/nonexistent"}, "127.0.0.1", "loading the CA /nonexistent"},
        {{.ca = ca, .cert = "/nonexistent"}, "127.0.0.1", "loading the certificate /nonexistent"},
    };
    use_tls();
    server.answers[0] = server.answers[1] = server.answers[2] = kept;
    start();
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_(http_freep) struct http *http = NULL;
        _cleanup_answer_ struct http_answer answer = {0};
        _cleanup_error_ struct error *err = NULL;
        assert_int_equal(http_open(&http, &cases[i].tls, NULL), 0);
        int r = get(http, "https", cases[i].host, &answer, &err);
        if (cases[i].complaint == NULL) {
            assert_int_equal(r, 0);
            assert_string_equal(answer.body.data, "ok");
        } else {
            assert_int_equal(r, -1);
            assert_int_equal(err->status, STATUS_COMMAND);
            assert_non_null(strstr(err->message, cases[i].complaint));
        }
    }
}

static int make_directory(void **state)
{
    (void)state;
    directory = xstrdup("/tmp/http-answers-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
    (void)state;
    int r = proc_exec(deadline_in(300000), NULL, "rm", "-r", directory, NULL);
    free(directory);
    return r;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_of_every_form_are_read),
        TEST(a_body_may_end_with_the_connection),
        TEST(a_nul_byte_holds_up_no_line),
        TEST(nonsense_is_refused),
        TEST(a_connection_is_kept_until_the_server_closes_it),
        TEST(nothing_can_be_slipped_into_a_request),
        TEST(a_name_that_nobody_has_is_an_error),
        TEST(a_server_must_have_a_certificate_of_the_ca_for_its_name),
    };
    return cmocka_run_group_tests_name("http answers", tests, make_directory, remove_directory);
}
