#include "tests/lab/shared/cloudapi/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "lib/system/proc.h"

enum { BACKLOG = 64, CONNECT_S = 5, BUFFER = 65536, SESSIONS = 64, IDLE_S = 60, OWN = 2 };

struct port {
    char *address;
    long number;
    bool udp;
    int fd;
    int stop; /* of udp: an eventfd that ends the thread */
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
    if (proc_exec(deadline_in(60000), &err, "ip", "address", verb, prefix, "dev", "lo", NULL) != 0) {
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

/* A connection to the next backend that takes one; -1 when none does. A PORT of UDP is only connected to an address. */
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
        int fd = socket(AF_INET, (port->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
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

struct session {
    struct sockaddr_in sender;
    int backend; /* -1: not used */
    time_t last; /* when something passed, by the monotonic clock */
};

static time_t now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void end_session(struct session *session)
{
    if (session->backend >= 0) {
        close(session->backend);
        session->backend = -1;
    }
}

/* The sender's session, or the one that was silent for longest, ended. */
static struct session *session_of(struct session *sessions, const struct sockaddr_in *sender)
{
    struct session *oldest = sessions;
    for (size_t i = 0; i < SESSIONS; i++) {
        struct session *one = &sessions[i];
        if (one->backend >= 0 && one->sender.sin_port == sender->sin_port &&
            one->sender.sin_addr.s_addr == sender->sin_addr.s_addr) {
            return one;
        }
        if (oldest->backend >= 0 && (one->backend < 0 || one->last < oldest->last)) {
            oldest = one;
        }
    }
    end_session(oldest);
    oldest->sender = *sender;
    return oldest;
}

static void pass_on(struct session *sessions, struct port *port)
{
    char data[BUFFER];
    struct sockaddr_in sender = {0};
    socklen_t size = sizeof sender;
    ssize_t n = recvfrom(port->fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&sender, &size);
    if (n < 0) {
        return;
    }
    struct session *session = session_of(sessions, &sender);
    if (session->backend < 0) {
        session->backend = connect_next(port);
    }
    session->last = now_s();
    if (session->backend >= 0 && send(session->backend, data, (size_t)n, MSG_NOSIGNAL) < 0) {
        end_session(session); /* the next datagram tries the next backend */
    }
}

static void pass_back(int fd, struct session *session)
{
    char data[BUFFER];
    ssize_t n = recv(session->backend, data, sizeof data, MSG_DONTWAIT);
    if (n < 0) {
        end_session(session); /* nothing listens there */
        return;
    }
    session->last = now_s();
    (void)sendto(fd, data, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&session->sender, sizeof session->sender);
}

/* Passes what arrives at a port of UDP to a backend and its answers back, until it is to stop. Each sender keeps its
 * backend until neither has sent anything for a minute. */
static void relay(struct port *port)
{
    struct session sessions[SESSIONS];
    struct pollfd fds[OWN + SESSIONS] = {{.fd = port->fd, .events = POLLIN}, {.fd = port->stop, .events = POLLIN}};
    for (size_t i = 0; i < SESSIONS; i++) {
        sessions[i] = (struct session){.backend = -1};
    }
    while (fds[1].revents == 0) {
        for (size_t i = 0; i < SESSIONS; i++) {
            if (now_s() - sessions[i].last > IDLE_S) {
                end_session(&sessions[i]);
            }
            fds[OWN + i] = (struct pollfd){.fd = sessions[i].backend, .events = POLLIN};
        }
        if (poll(fds, OWN + SESSIONS, IDLE_S * 1000) <= 0) {
            continue;
        }
        for (size_t i = 0; i < SESSIONS; i++) {
            if (fds[OWN + i].revents != 0) {
                pass_back(port->fd, &sessions[i]);
            }
        }
        if (fds[0].revents != 0) {
            pass_on(sessions, port);
        }
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        end_session(&sessions[i]);
    }
}

static void *relay_all(void *context)
{
    relay(context);
    return NULL;
}

static bool is_udp(const json_t *wanted)
{
    return strcmp(json_text_or(wanted, "protocol", ""), "udp") == 0;
}

static struct port *find(const struct forwarder *forwarder, const char *address, long number, bool udp)
{
    for (struct port *port = forwarder->ports; port != NULL; port = port->rest) {
        if (strcmp(port->address, address) == 0 && port->number == number && port->udp == udp) {
            return port;
        }
    }
    return NULL;
}

static bool start_port(struct port *port)
{
    struct sockaddr_in at = socket_address(port->address, port->number);
    const int on = 1;
    return port->fd >= 0 && port->stop >= 0 && setsockopt(port->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           bind(port->fd, (struct sockaddr *)&at, sizeof at) == 0 && (port->udp || listen(port->fd, BACKLOG) == 0) &&
           pthread_create(&port->thread, NULL, port->udp ? relay_all : accept_all, port) == 0;
}

static void free_port(struct port *port)
{
    if (port->fd >= 0) {
        close(port->fd);
    }
    if (port->stop >= 0) {
        close(port->stop);
    }
    pthread_mutex_destroy(&port->lock);
    json_decref(port->backends);
    free(port->address);
    free(port);
}

static void open_port(struct forwarder *forwarder, const char *address, long number, bool udp)
{
    struct port *port = xcalloc(1, sizeof *port);
    if (json_object_get(forwarder->addresses, address) == NULL && address_change("add", address)) {
        json_object_set_new(forwarder->addresses, address, json_true());
    }
    *port = (struct port){.address = xstrdup(address),
                          .number = number,
                          .udp = udp,
                          .fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0),
                          .stop = eventfd(0, EFD_CLOEXEC),
                          .lock = PTHREAD_MUTEX_INITIALIZER,
                          .backends = json_array(),
                          .rest = forwarder->ports};
    if (!start_port(port)) {
        (void)fprintf(stderr, "listening on %s:%ld: %s\n", address, number, strerror(errno));
        free_port(port);
        return;
    }
    forwarder->ports = port;
}

static void close_port(struct port *port)
{
    (void)(port->udp ? eventfd_write(port->stop, 1) : shutdown(port->fd, SHUT_RDWR));
    pthread_join(port->thread, NULL);
    free_port(port);
}

static const json_t *wanted_of(const json_t *wanted, const struct port *port)
{
    size_t i;
    json_t *one;
    json_array_foreach ((json_t *)wanted, i, one) {
        if (strcmp(json_text_or(one, "address", ""), port->address) == 0 &&
            json_integer_value(json_object_get(one, "port")) == port->number && is_udp(one) == port->udp) {
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
        if (find(forwarder, address, number, is_udp(one)) == NULL) {
            open_port(forwarder, address, number, is_udp(one));
        }
        struct port *port = find(forwarder, address, number, is_udp(one));
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
