#include "tests/lab/shared/cloudapi/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "lib/system/proc.h"

enum { BACKLOG = 64, CONNECT_S = 5, BUFFER = 65536 };

struct port {
    char *address;
    long number;
    int fd;
    pthread_t thread;
    pthread_mutex_t lock;
    json_t *backends;
    size_t next;
    struct port *rest;
};

struct forwarder {
    struct port *ports;
    json_t *addresses; /* that were added: an object by address */
};

static bool address_change(const char *verb, const char *address)
{
    _cleanup_free_ char *prefix = xasprintf("%s/32", address);
    _cleanup_error_ struct error *err = NULL;
    if (proc_exec(deadline_in(10000), &err, "ip", "address", verb, prefix, "dev", "lo", NULL) != 0) {
        (void)fprintf(stderr, "%s\n", err->message);
        return false;
    }
    return true;
}

static struct sockaddr_in socket_address(const char *ip, long port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    (void)inet_pton(AF_INET, ip, &at.sin_addr);
    return at;
}

/* A connection to the next backend that takes one; -1 when none does. */
static int connect_next(struct port *port)
{
    pthread_mutex_lock(&port->lock);
    _cleanup_json_ json_t *backends = json_incref(port->backends);
    size_t first = port->next++;
    pthread_mutex_unlock(&port->lock);
    size_t n = json_array_size(backends);
    for (size_t i = 0; i < n; i++) {
        const json_t *backend = json_array_get(backends, (first + i) % n);
        struct sockaddr_in at =
            socket_address(json_text_or(backend, "ip", ""), (long)json_integer_value(json_object_get(backend, "port")));
        const struct timeval wait = {.tv_sec = CONNECT_S};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0 &&
            connect(fd, (struct sockaddr *)&at, sizeof at) == 0) {
            return fd;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    return -1;
}

static bool pass(int from, int to)
{
    char data[BUFFER];
    ssize_t n = recv(from, data, sizeof data, 0);
    for (ssize_t sent = 0; sent < n;) {
        ssize_t m = send(to, data + sent, (size_t)(n - sent), MSG_NOSIGNAL);
        if (m <= 0) {
            return false;
        }
        sent += m;
    }
    if (n <= 0) {
        (void)shutdown(to, SHUT_WR);
    }
    return n > 0;
}

struct connection {
    int client, backend;
};

static void *carry(void *context)
{
    struct connection *c = context;
    struct pollfd fds[] = {{.fd = c->client, .events = POLLIN}, {.fd = c->backend, .events = POLLIN}};
    while ((fds[0].fd >= 0 || fds[1].fd >= 0) && poll(fds, 2, -1) > 0) {
        for (int side = 0; side < 2; side++) {
            if (fds[side].revents != 0 && !pass(fds[side].fd, side == 0 ? c->backend : c->client)) {
                fds[side].fd = -1; /* that direction is over */
            }
        }
    }
    close(c->client);
    close(c->backend);
    free(c);
    return NULL;
}

static void *accept_all(void *context)
{
    struct port *port = context;
    for (;;) {
        int client = accept4(port->fd, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0 && errno != ECONNABORTED && errno != EINTR) {
            return NULL; /* shut down */
        }
        int backend = client < 0 ? -1 : connect_next(port);
        pthread_t thread;
        struct connection *c = xcalloc(1, sizeof *c);
        *c = (struct connection){client, backend};
        if (backend >= 0 && pthread_create(&thread, NULL, carry, c) == 0) {
            (void)pthread_detach(thread);
            continue;
        }
        if (client >= 0) {
            close(client);
        }
        free(c);
    }
}

static struct port *find(const struct forwarder *forwarder, const char *address, long number)
{
    for (struct port *port = forwarder->ports; port != NULL; port = port->rest) {
        if (strcmp(port->address, address) == 0 && port->number == number) {
            return port;
        }
    }
    return NULL;
}

static void open_port(struct forwarder *forwarder, const char *address, long number)
{
    struct sockaddr_in at = socket_address(address, number);
    struct port *port = xcalloc(1, sizeof *port);
    const int on = 1;
    if (json_object_get(forwarder->addresses, address) == NULL && address_change("add", address)) {
        json_object_set_new(forwarder->addresses, address, json_true());
    }
    *port = (struct port){.address = xstrdup(address),
                          .number = number,
                          .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                          .lock = PTHREAD_MUTEX_INITIALIZER,
                          .backends = json_array(),
                          .rest = forwarder->ports};
    if (port->fd < 0 || setsockopt(port->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(port->fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(port->fd, BACKLOG) != 0 ||
        pthread_create(&port->thread, NULL, accept_all, port) != 0) {
        (void)fprintf(stderr, "listening on %s:%ld: %s\n", address, number, strerror(errno));
        if (port->fd >= 0) {
            close(port->fd);
        }
        json_decref(port->backends);
        free(port->address);
        free(port);
        return;
    }
    forwarder->ports = port;
}

static void close_port(struct port *port)
{
    (void)shutdown(port->fd, SHUT_RDWR);
    pthread_join(port->thread, NULL);
    close(port->fd);
    pthread_mutex_destroy(&port->lock);
    json_decref(port->backends);
    free(port->address);
    free(port);
}

static const json_t *wanted_of(const json_t *wanted, const struct port *port)
{
    size_t i;
    json_t *one;
    json_array_foreach ((json_t *)wanted, i, one) {
        if (strcmp(json_text_or(one, "address", ""), port->address) == 0 &&
            json_integer_value(json_object_get(one, "port")) == port->number) {
            return one;
        }
    }
    return NULL;
}

static void drop_addresses(struct forwarder *forwarder)
{
    const char *address;
    json_t *value;
    void *next;
    json_object_foreach_safe(forwarder->addresses, next, address, value)
    {
        bool used = false;
        for (const struct port *port = forwarder->ports; port != NULL; port = port->rest) {
            used = used || strcmp(port->address, address) == 0;
        }
        if (!used && address_change("delete", address)) {
            json_object_del(forwarder->addresses, address);
        }
    }
}

void forward_set(struct forwarder *forwarder, const json_t *wanted)
{
    size_t i;
    json_t *one;
    for (struct port **at = &forwarder->ports; *at != NULL;) {
        struct port *port = *at;
        if (wanted_of(wanted, port) == NULL) {
            *at = port->rest;
            close_port(port);
        } else {
            at = &port->rest;
        }
    }
    json_array_foreach ((json_t *)wanted, i, one) {
        const char *address = json_text_or(one, "address", "");
        long number = (long)json_integer_value(json_object_get(one, "port"));
        if (find(forwarder, address, number) == NULL) {
            open_port(forwarder, address, number);
        }
        struct port *port = find(forwarder, address, number);
        if (port != NULL) {
            pthread_mutex_lock(&port->lock);
            json_decref(port->backends);
            port->backends = json_deep_copy(json_object_get(one, "backends"));
            pthread_mutex_unlock(&port->lock);
        }
    }
    drop_addresses(forwarder);
}

struct forwarder *forward_start(void)
{
    struct forwarder *forwarder = xcalloc(1, sizeof *forwarder);
    forwarder->addresses = json_object();
    return forwarder;
}

void forward_stop(struct forwarder *forwarder)
{
    if (forwarder != NULL) {
        forward_set(forwarder, NULL);
        json_decref(forwarder->addresses);
        free(forwarder);
    }
}
