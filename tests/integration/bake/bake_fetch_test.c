/* Downloads against a server that resumes, breaks off, is overloaded, lies, or has nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <microhttpd.h>

#include "bake/bake.h"
#include "bake/fetch/fetch.h"
#include "bake/progress.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

#define SIZE 300000

static char directory[32];
static char content[SIZE];
static char *content_hash;

static struct {
    struct MHD_Daemon *daemon;
    unsigned port;
    int requests, ranges; /* all, and those with a range */
    int refuse;           /* that many are answered 503 */
    int breaks;           /* that many end in the middle */
    int together;         /* nothing is sent before that many were asked for */
    bool no_ranges, other_content;
    bool cut_whole; /* what is not resumed ends in the middle */
    char path[128]; /* of the last request */
} server;

static void set_path(const char *url)
{
    (void)snprintf(server.path, sizeof server.path, "%s", url);
}

struct body {
    size_t from, end; /* of content; it breaks off at END */
    bool wrong;
};

static ssize_t on_read(void *context, uint64_t at, char *buffer, size_t max)
{
    const struct body *body = context;
    size_t begin = body->from + at;
    if (server.requests < server.together) {
        return 0;
    }
    if (begin >= body->end) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = body->end - begin < max ? body->end - begin : max;
    memcpy(buffer, content + begin, n);
    if (body->wrong) {
        buffer[0] = (char)~buffer[0];
    }
    return (ssize_t)n;
}

static enum MHD_Result plain(struct MHD_Connection *connection, unsigned code)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

/* NOLINTBEGIN(readability-non-const-parameter): libmicrohttpd's type */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **state)
{
    (void)context, (void)method, (void)version, (void)upload, (void)upload_size, (void)state;
    const char *range = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Range");
    server.requests++;
    server.ranges += range != NULL;
    set_path(url);
    if (server.refuse > 0) {
        server.refuse--;
        return plain(connection, 503);
    }
    if (strstr(url, "absent") != NULL) {
        return plain(connection, 404);
    }
    struct body *body = xcalloc(1, sizeof *body);
    body->from = range == NULL || server.no_ranges ? 0 : strtoul(range + strlen("bytes="), NULL, 10);
    if (body->from >= SIZE) {
        free(body);
        return plain(connection, 416);
    }
    body->end =
        server.breaks > 0 || (server.cut_whole && body->from == 0) ? body->from + (SIZE - body->from) / 2 : SIZE;
    body->wrong = server.other_content;
    server.breaks -= server.breaks > 0;
    struct MHD_Response *response = MHD_create_response_from_callback(SIZE - body->from, 4096, on_read, body, free);
    if (body->from > 0) {
        _cleanup_free_ char *header = xasprintf("bytes %zu-%d/%d", body->from, SIZE - 1, SIZE);
        MHD_add_response_header(response, "Content-Range", header);
    }
    enum MHD_Result result = MHD_queue_response(connection, body->from > 0 ? 206 : 200, response);
    MHD_destroy_response(response);
    return result;
}
/* NOLINTEND(readability-non-const-parameter) */

static int begin(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE; i++) {
        content[i] = (char)(i * 7 + i / 251);
    }
    content_hash = sha256_hex(content, SIZE);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server.daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, NULL,
                                     MHD_OPTION_SOCK_ADDR, &here, MHD_OPTION_END);
    if (server.daemon == NULL) {
        return -1;
    }
    server.port = MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return 0;
}

static int end(void **state)
{
    (void)state;
    MHD_stop_daemon(server.daemon);
    free(content_hash);
    return 0;
}

static int enter(void **state)
{
    (void)state;
    server.requests = server.ranges = server.refuse = server.breaks = server.together = 0;
    server.no_ranges = server.other_content = server.cut_whole = false;
    (void)strcpy(directory, "/tmp/bake-XXXXXX");
    return mkdtemp(directory) == NULL || chdir(directory) < 0 ? -1 : 0;
}

static int leave(void **state)
{
    (void)state;
    return chdir("/") < 0 ? -1 : tree_remove(directory, NULL);
}

static char *url_of(const char *name)
{
    return xasprintf("http://127.0.0.1:%u/%s", server.port, name);
}

/* Fetches NAME with the pin SHA256 into the cache. */
static int fetch_one(const char *name, const char *sha256, const struct fetch_options *options, struct source *got,
                     struct error **err)
{
    _cleanup_free_ char *url = url_of(name);
    struct download download = {.name = name, .where = "image.conf:7", .url = url, .sha256 = sha256, .got = got};
    struct fetch_options own = {.cache = "cache", .jobs = 2, .back_off_ms = 1};
    return fetch_all(&download, 1, options != NULL ? options : &own, err);
}

static void source_free(struct source *source)
{
    free(source->path);
    free(source->sha256);
}

static void expect_fetched(const struct source *got)
{
    _cleanup_free_ char *hash = NULL;
    assert_non_null(got->path);
    assert_int_equal(sha256_file(got->path, &hash, NULL), 0);
    assert_string_equal(hash, content_hash);
    assert_non_null(strstr(got->path, content_hash));
}

static void test_fetch_and_cache(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source first = {0};
    _cleanup_(source_free) struct source second = {0};
    struct fetch_options offline = {.cache = "cache", .jobs = 1, .offline = true};
    assert_int_equal(fetch_one("file", content_hash, NULL, &first, NULL), 0);
    expect_fetched(&first);
    assert_int_equal(server.requests, 1);
    assert_int_equal(fetch_one("file", content_hash, &offline, &second, NULL), 0);
    expect_fetched(&second);
    assert_int_equal(server.requests, 1);
}

static void test_unpinned_is_learnt(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    assert_int_equal(fetch_one("file", NULL, NULL, &got, NULL), 0);
    assert_string_equal(got.sha256, content_hash);
}

static void test_broken_off_is_resumed(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    server.breaks = 2;
    assert_int_equal(fetch_one("file", content_hash, NULL, &got, NULL), 0);
    expect_fetched(&got);
    assert_int_equal(server.requests, 3);
    assert_int_equal(server.ranges, 2);
}

static void test_resumed_in_another_run(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    _cleanup_free_ char *part = xasprintf("cache/part/%s.part", content_hash);
    const struct file_spec spec = {part, content, 1000, 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
    assert_int_equal(fetch_one("file", content_hash, NULL, &got, NULL), 0);
    expect_fetched(&got);
    assert_int_equal(server.ranges, 1);
}

static void test_bad_part_starts_over(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source wrong = {0};
    _cleanup_(source_free) struct source whole = {0};
    _cleanup_free_ char *part = xasprintf("cache/part/%s.part", content_hash);
    const struct file_spec spec = {part, "not what the file begins with", 29, 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
    assert_int_equal(fetch_one("file", content_hash, NULL, &wrong, NULL), 0);
    expect_fetched(&wrong);
    assert_int_equal(unlink(wrong.path), 0);
    /* and one that is longer than the file: the server answers 416 */
    _cleanup_free_ char *longer = xcalloc(1, SIZE + 1);
    const struct file_spec more = {part, longer, SIZE + 1, 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&more, NULL, NULL), 0);
    assert_int_equal(fetch_one("file", content_hash, NULL, &whole, NULL), 0);
    expect_fetched(&whole);
}

static void test_server_that_cannot_resume(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    server.no_ranges = true;
    server.breaks = 1;
    assert_int_equal(fetch_one("file", content_hash, NULL, &got, NULL), 0);
    expect_fetched(&got);
}

static void test_overload_is_waited_out(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    server.refuse = 2;
    assert_int_equal(fetch_one("file", content_hash, NULL, &got, NULL), 0);
    assert_int_equal(server.requests, 3);
}

static void test_wrong_hash(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *part = xasprintf("cache/part/%s.part", content_hash);
    server.other_content = true;
    assert_int_equal(fetch_one("file", content_hash, NULL, &got, &err), -1);
    assert_int_equal(err->status, STATUS_CRYPTO);
    _cleanup_free_ char *expected = xasprintf("expected %s, found ", content_hash);
    assert_non_null(strstr(err->message, expected));
    assert_non_null(strstr(err->message, "image.conf:7: file: http://127.0.0.1"));
    assert_int_equal(access(part, F_OK), -1);
    assert_null(got.path);
}

static void test_always_truncated(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    _cleanup_error_ struct error *err = NULL;
    server.breaks = 100;
    assert_int_equal(fetch_one("file", content_hash, NULL, &got, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
    assert_non_null(strstr(err->message, "bytes are kept"));
}

/* Each answer ends half way, and none can go on where one ended. */
static void test_always_truncated_and_cannot_resume(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    _cleanup_error_ struct error *err = NULL;
    server.no_ranges = true;
    server.breaks = 1000;
    assert_int_equal(fetch_one("file", content_hash, NULL, &got, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
    assert_true(server.requests <= 20);
    assert_null(got.path);
}

/* It resumes, but what it sends is another file each time. */
static void test_resumed_never_fits(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    _cleanup_error_ struct error *err = NULL;
    server.other_content = true;
    server.cut_whole = true;
    assert_int_equal(fetch_one("file", content_hash, NULL, &got, &err), -1);
    assert_int_equal(err->status, STATUS_CRYPTO);
    assert_true(server.requests <= 40);
}

static void test_one_absent_others_are_kept(void **state)
{
    (void)state;
    struct source got[3] = {0};
    _cleanup_free_ char *a = url_of("a");
    _cleanup_free_ char *b = url_of("absent");
    _cleanup_free_ char *refused = xstrdup("http://127.0.0.1:1/none");
    _cleanup_error_ struct error *err = NULL;
    struct download downloads[] = {{.name = "a", .where = "x:1", .url = a, .sha256 = content_hash, .got = &got[0]},
                                   {.name = "b", .where = "x:2", .url = b, .got = &got[1]},
                                   {.name = "c", .where = "x:3", .url = refused, .got = &got[2]}};
    struct fetch_options options = {.cache = "cache", .jobs = 3, .back_off_ms = 1};
    assert_int_equal(fetch_all(downloads, 3, &options, &err), -1);
    assert_non_null(strstr(err->message, "2 of 3 downloads failed"));
    assert_non_null(strstr(err->message, "x:2: b: "));
    assert_non_null(strstr(err->message, "404"));
    assert_non_null(strstr(err->message, "x:3: c: "));
    expect_fetched(&got[0]);
    source_free(&got[0]);
}

static void test_several_at_once(void **state)
{
    (void)state;
    struct source got[3] = {0};
    struct download downloads[3];
    struct fetch_options options = {.cache = "cache", .jobs = 3};
    _cleanup_strv_ char **urls = NULL;
    for (size_t i = 0; i < ELEMENTS(got); i++) {
        _cleanup_free_ char *name = xasprintf("file-%zu", i);
        _cleanup_free_ char *url = url_of(name);
        strv_push(&urls, url);
        downloads[i] = (struct download){.name = "x", .where = "x:1", .url = urls[i], .got = &got[i]};
    }
    server.together = ELEMENTS(got);
    assert_int_equal(fetch_all(downloads, ELEMENTS(got), &options, NULL), 0);
    for (size_t i = 0; i < ELEMENTS(got); i++) {
        expect_fetched(&got[i]);
        source_free(&got[i]);
    }
}

static void test_offline_without_cache(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    _cleanup_error_ struct error *err = NULL;
    struct fetch_options offline = {.cache = "cache", .jobs = 1, .offline = true};
    assert_int_equal(fetch_one("file", content_hash, &offline, &got, &err), -1);
    assert_non_null(strstr(err->message, content_hash));
    assert_int_equal(server.requests, 0);
}

static void *give_back(void *fd)
{
    while (server.requests == 0) {
        (void)sched_yield(); /* the other download shows that the batch is running */
    }
    close(*(int *)fd);
    return NULL;
}

/* Another bake has the part locked; when it ends without having made the file, this one takes over. */
static void test_two_bakes_at_one_file(void **state)
{
    (void)state;
    struct source got[2] = {0};
    _cleanup_free_ char *part = xasprintf("cache/part/%s.part", content_hash);
    _cleanup_free_ char *a = url_of("a");
    _cleanup_free_ char *b = url_of("b");
    const struct file_spec spec = {part, content, 1000, 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
    int fd = open(part, O_WRONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, give_back, &fd), 0);
    struct download downloads[] = {{.name = "a", .where = "x:1", .url = a, .sha256 = content_hash, .got = &got[0]},
                                   {.name = "b", .where = "x:2", .url = b, .got = &got[1]}};
    struct fetch_options options = {.cache = "cache", .jobs = 2};
    assert_int_equal(fetch_all(downloads, 2, &options, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_fetched(&got[0]);
    source_free(&got[0]);
    source_free(&got[1]);
}

static void test_mirror(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    _cleanup_free_ char *mirror = url_of("mirror/");
    struct fetch_options options = {.cache = "cache", .mirror = mirror, .jobs = 1};
    struct download download = {
        .name = "x", .where = "x:1", .url = "https://get.helm.sh/a/helm.tar.gz", .sha256 = content_hash, .got = &got};
    assert_int_equal(fetch_all(&download, 1, &options, NULL), 0);
    assert_string_equal(server.path, "/mirror/get.helm.sh/a/helm.tar.gz");
}

/* The disk takes no more: the reason is told, and not tried again. */
static void test_unwritable(void **state)
{
    (void)state;
    _cleanup_(source_free) struct source got = {0};
    _cleanup_error_ struct error *err = NULL;
    struct rlimit small = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int result = fetch_one("file", content_hash, NULL, &got, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(result, -1);
    assert_non_null(strstr(err->message, "cannot write"));
    assert_int_equal(server.requests, 1);
}

static void test_progress(void **state)
{
    (void)state;
    _cleanup_free_ char *half = progress_text(1, 3, 50L << 20, 100L << 20, 20L << 20, 2000);
    assert_string_equal(half, "1 of 3 files, 50.0 of 100.0 MiB, 10.0 MiB/s, 5 s left");
    _cleanup_free_ char *none = progress_text(0, 1, 0, 0, 0, 0);
    assert_string_equal(none, "0 of 1 files, 0.0 of 0.0 MiB, 0.0 MiB/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fetch_and_cache, enter, leave),
        cmocka_unit_test_setup_teardown(test_unpinned_is_learnt, enter, leave),
        cmocka_unit_test_setup_teardown(test_broken_off_is_resumed, enter, leave),
        cmocka_unit_test_setup_teardown(test_resumed_in_another_run, enter, leave),
        cmocka_unit_test_setup_teardown(test_bad_part_starts_over, enter, leave),
        cmocka_unit_test_setup_teardown(test_server_that_cannot_resume, enter, leave),
        cmocka_unit_test_setup_teardown(test_overload_is_waited_out, enter, leave),
        cmocka_unit_test_setup_teardown(test_wrong_hash, enter, leave),
        cmocka_unit_test_setup_teardown(test_always_truncated, enter, leave),
        cmocka_unit_test_setup_teardown(test_always_truncated_and_cannot_resume, enter, leave),
        cmocka_unit_test_setup_teardown(test_resumed_never_fits, enter, leave),
        cmocka_unit_test_setup_teardown(test_one_absent_others_are_kept, enter, leave),
        cmocka_unit_test_setup_teardown(test_several_at_once, enter, leave),
        cmocka_unit_test_setup_teardown(test_offline_without_cache, enter, leave),
        cmocka_unit_test_setup_teardown(test_two_bakes_at_one_file, enter, leave),
        cmocka_unit_test_setup_teardown(test_mirror, enter, leave),
        cmocka_unit_test_setup_teardown(test_unwritable, enter, leave),
        cmocka_unit_test_setup_teardown(test_progress, enter, leave),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
