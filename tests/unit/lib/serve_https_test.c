/* One who connects and sends next to nothing holds nobody up: not past the deadline, and not a termination signal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/crypto/issue.h"
#include "lib/net/serve_https.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

static char directory[] = "/tmp/serve-https-XXXXXX";
static char *cert, *key;

static char *refuse(void *context, const char *body, size_t len)
{
    (void)context;
    (void)body;
    (void)len;
    return NULL;
}

static int make_pair(void **state)
{
    (void)state;
    _cleanup_free_ char *cert_text = NULL;
    _cleanup_secret_ char *key_text = NULL;
    if (mkdtemp(directory) == NULL || issue_loopback_server("test", 1, &cert_text, &key_text, NULL) < 0) {
        return -1;
    }
    cert = path_join(directory, "cert");
    key = path_join(directory, "key");
    return file_put_private(cert, cert_text, NULL) < 0 ? -1 : file_put_private(key, key_text, NULL);
}

static int remove_pair(void **state)
{
    (void)state;
    free(cert);
    free(key);
    return tree_remove(directory, NULL);
}

static int serve(int fd, int64_t ms, struct error **err)
{
    const struct https_service service = {.cert = cert, .key = key, .limit = 1024, .answer = refuse};
    return https_serve(fd, &service, deadline_in(ms), err);
}

/* A TLS record of 16 KiB, byte by byte, until nobody reads any more. */
static void *feed(void *data)
{
    static const unsigned char head[] = {0x16, 3, 1, 0x40, 0, 1};
    int fd = *(int *)data;
    ssize_t n = send(fd, head, sizeof head, MSG_NOSIGNAL);
    while (n > 0) {
        (void)poll(NULL, 0, 20);
        n = send(fd, "", 1, MSG_NOSIGNAL);
    }
    return NULL;
}

static void a_trickle_ends_at_the_deadline(void **state)
{
    (void)state;
    int ends[2];
    pthread_t thread;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(pthread_create(&thread, NULL, feed, &ends[1]), 0);
    int result = serve(ends[0], 700, &err);
    close(ends[0]);
    pthread_join(thread, NULL);
    close(ends[1]);
    assert_int_equal(result, -1);
    assert_int_equal(err->status, STATUS_DEADLINE);
}

static void a_termination_signal_ends_the_wait(void **state)
{
    (void)state;
    int ends[2];
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(interrupt_open(NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(raise(SIGTERM), 0);
    int result = serve(ends[0], 120000, &err);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(result, -1);
    assert_int_equal(err->status, STATUS_INTERRUPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trickle_ends_at_the_deadline),
        cmocka_unit_test(a_termination_signal_ends_the_wait),
    };
    return cmocka_run_group_tests_name("serve https", tests, make_pair, remove_pair);
}
