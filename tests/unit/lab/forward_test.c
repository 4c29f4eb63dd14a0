/* What load balancers of the cloud server forward, in a network namespace of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/proc.h"
#include "tests/lab/shared/cloudapi/forward.h"

#define ADDRESS "10.77.0.1"

enum { PORT = 5300, BACKEND = 30053, WAIT_MS = 120000 };

static int set_up(void **state)
{
    (void)state;
    return unshare(CLONE_NEWNET) == 0 &&
                   proc_exec(deadline_in(WAIT_MS), NULL, "ip", "link", "set", "lo", "up", (char *)NULL) == 0
               ? 0
               : -1;
}

static struct sockaddr_in address(const char *ip, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    assert_int_equal(inet_pton(AF_INET, ip, &at.sin_addr), 1);
    return at;
}

static int socket_at(int type, const char *ip, int port, bool bound)
{
    const struct sockaddr_in at = address(ip, port);
    const struct timeval wait = {.tv_sec = WAIT_MS / 1000};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(bound ? bind(fd, (const struct sockaddr *)&at, sizeof at)
                           : connect(fd, (const struct sockaddr *)&at, sizeof at),
                     0);
    return fd;
}

/* The balancer's port of PROTOCOL with the first N of the backends 127.0.0.1:BACKEND, BACKEND + 1. */
static json_t *served(const char *protocol, int n)
{
    json_t *backends = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(backends, json_pack("{ss si}", "ip", "127.0.0.1", "port", BACKEND + i));
    }
    return json_pack("{ss si ss so}", "address", ADDRESS, "port", PORT, "protocol", protocol, "backends", backends);
}

/* TEXT from CLIENT reaches BACKEND, whose answer comes back. */
static void assert_passes(int client, int backend, const char *text)
{
    char data[64] = "";
    struct sockaddr_in from = {0};
    socklen_t size = sizeof from;
    assert_int_equal(send(client, text, strlen(text), 0), strlen(text));
    assert_int_equal(recvfrom(backend, data, sizeof data, 0, (struct sockaddr *)&from, &size), strlen(text));
    assert_memory_equal(data, text, strlen(text));
    assert_int_equal(sendto(backend, "answer", 6, 0, (struct sockaddr *)&from, size), 6);
    assert_int_equal(recv(client, data, sizeof data, 0), 6);
    assert_memory_equal(data, "answer", 6);
}

static void datagrams_of_a_sender_go_to_one_backend_and_back(void **state)
{
    (void)state;
    struct forwarder *forwarder = forward_start();
    _cleanup_json_ json_t *both = json_pack("[o]", served("udp", 2));
    int first = socket_at(SOCK_DGRAM, "127.0.0.1", BACKEND, true);
    int second = socket_at(SOCK_DGRAM, "127.0.0.1", BACKEND + 1, true);
    forward_set(forwarder, both);
    int one = socket_at(SOCK_DGRAM, ADDRESS, PORT, false);
    int other = socket_at(SOCK_DGRAM, ADDRESS, PORT, false);
    assert_passes(one, first, "one");
    assert_passes(other, second, "other");
    assert_passes(one, first, "one again");
    assert_passes(other, second, "other again");
    forward_set(forwarder, both); /* as after each call of the API: nothing is interrupted */
    assert_passes(one, first, "one at last");
    forward_stop(forwarder);
    close(one);
    close(other);
    close(first);
    close(second);
}

static void a_backend_that_refuses_is_left_for_the_next(void **state)
{
    (void)state;
    struct forwarder *forwarder = forward_start();
    _cleanup_json_ json_t *both = json_pack("[o]", served("udp", 2));
    int second = socket_at(SOCK_DGRAM, "127.0.0.1", BACKEND + 1, true);
    struct pollfd arrived = {.fd = second, .events = POLLIN};
    forward_set(forwarder, both);
    int client = socket_at(SOCK_DGRAM, ADDRESS, PORT, false);
    for (int i = 0; i < 1200 && poll(&arrived, 1, 100) == 0; i++) {
        assert_int_equal(send(client, "x", 1, 0), 1); /* the first is lost, as with UDP anywhere */
    }
    assert_int_equal(arrived.revents, POLLIN);
    forward_stop(forwarder);
    close(client);
    close(second);
}

static void udp_and_tcp_share_a_number_and_the_address_goes_with_both(void **state)
{
    (void)state;
    struct forwarder *forwarder = forward_start();
    _cleanup_json_ json_t *both = json_pack("[o, o]", served("udp", 1), served("tcp", 1));
    _cleanup_json_ json_t *tcp = json_pack("[o]", served("tcp", 1));
    int datagrams = socket_at(SOCK_DGRAM, "127.0.0.1", BACKEND, true);
    int listening = socket_at(SOCK_STREAM, "127.0.0.1", BACKEND, true);
    assert_int_equal(listen(listening, 1), 0);
    forward_set(forwarder, both);
    int udp_client = socket_at(SOCK_DGRAM, ADDRESS, PORT, false);
    int tcp_client = socket_at(SOCK_STREAM, ADDRESS, PORT, false);
    int accepted = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    char data[8] = "";
    assert_passes(udp_client, datagrams, "udp");
    assert_int_equal(send(tcp_client, "tcp", 3, 0), 3);
    assert_int_equal(recv(accepted, data, sizeof data, 0), 3);
    assert_memory_equal(data, "tcp", 3);
    forward_set(forwarder, tcp);
    (void)send(udp_client, "x", 1, 0);
    assert_int_equal(recv(udp_client, data, sizeof data, 0), -1); /* nothing listens any more */
    assert_int_equal(errno, ECONNREFUSED);
    forward_stop(forwarder);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in gone = address(ADDRESS, PORT);
    assert_int_equal(bind(fd, (const struct sockaddr *)&gone, sizeof gone), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    close(fd);
    close(udp_client);
    close(tcp_client);
    close(accepted);
    close(listening);
    close(datagrams);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_of_a_sender_go_to_one_backend_and_back),
        cmocka_unit_test(a_backend_that_refuses_is_left_for_the_next),
        cmocka_unit_test(udp_and_tcp_share_a_number_and_the_address_goes_with_both),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
