#include "lib/net/connection.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>

#include "lib/core/interrupt.h"
#include "lib/net/resolve.h"
#include "lib/net/tls.h"

struct connection {
    int fd;   /* does not block */
    SSL *ssl; /* NULL: plain */
};

static const char no_connection[] = "no connection";
static const char no_answer[] = "no complete answer";

/* Waits until FD is ready for EVENTS; LATE is the message at the deadline. */
static int wait_ready(int fd, short events, struct deadline deadline, const char *late, struct error **err)
{
    int ready = interrupt_wait(fd, events, deadline, err);
    if (ready == 0) {
        return error_new(err, STATUS_DEADLINE, "%s", late);
    }
    return ready < 0 ? -1 : 0;
}

static int connect_to(const struct sockaddr *address, socklen_t len, struct deadline deadline, int failure, int *fd,
                      struct error **err)
{
    static const int on = 1;
    _cleanup_close_ int s = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) {
        return error_errno(err, failure, errno, "making a socket");
    }
    if (address->sa_family != AF_UNIX) {
        (void)setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    int why = connect(s, address, len) == 0 ? 0 : errno;
    if (why == EINPROGRESS || why == EINTR) {
        socklen_t size = sizeof why;
        if (wait_ready(s, POLLOUT, deadline, no_connection, err) < 0) {
            return -1;
        }
        if (getsockopt(s, SOL_SOCKET, SO_ERROR, &why, &size) < 0) {
            why = errno;
        }
    }
    if (why != 0) {
        return error_errno(err, failure, why, "connecting");
    }
    *fd = steal_fd(&s);
    return 0;
}

static int connect_unix(const char *path, struct deadline deadline, int failure, int *fd, struct error **err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        return error_new(err, failure, "%s: too long for a Unix socket", path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int r = connect_to((const struct sockaddr *)&address, sizeof address, deadline, failure, fd, err);
    return r < 0 ? error_wrap(err, "%s", path) : 0;
}

static void free_list(struct addrinfo **list)
{
    if (*list != NULL) {
        freeaddrinfo(*list);
    }
}

static int64_t count(const struct addrinfo *list)
{
    int64_t n = 0;
    for (; list != NULL; list = list->ai_next) {
        n++;
    }
    return n;
}

static int connect_tcp(const struct endpoint *endpoint, struct deadline deadline, int failure, int *fd,
                       struct error **err)
{
    _cleanup_(free_list) struct addrinfo *list = NULL;
    if (resolve(endpoint->host, endpoint->port, deadline, failure, &list, err) < 0) {
        return -1;
    }
    _cleanup_error_ struct error *reason = NULL; /* of the last address */
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        struct deadline share = deadline_earlier(deadline, deadline_in(deadline_left(deadline) / count(a)));
        error_freep(&reason);
        reason = NULL;
        if (connect_to(a->ai_addr, a->ai_addrlen, share, failure, fd, &reason) == 0) {
            return 0;
        }
        if (reason->status == STATUS_INTERRUPTED) {
            break;
        }
    }
    return error_move(err, &reason);
}

/* What RESULT of a call on the session means: 0 when it may be repeated now. */
static int wait_tls(const struct connection *connection, int result, struct deadline deadline, const char *late,
                    int failure, struct error **err)
{
    switch (SSL_get_error(connection->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_ready(connection->fd, POLLIN, deadline, late, err);
    case SSL_ERROR_WANT_WRITE:
        return wait_ready(connection->fd, POLLOUT, deadline, late, err);
    default:
        return error_new(err, failure, "TLS: %s", tls_reason(connection->ssl));
    }
}

static int shake_hands(const struct connection *connection, struct deadline deadline, int failure, struct error **err)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_do_handshake(connection->ssl);
        if (result == 1) {
            return 0;
        }
        if (wait_tls(connection, result, deadline, no_answer, failure, err) < 0) {
            return -1;
        }
    }
}

static void freep(struct connection **connection)
{
    connection_free(*connection);
}

int connection_open(struct connection **connection, const struct endpoint *endpoint, struct deadline deadline,
                    int failure, struct error **err)
{
    _cleanup_(freep) struct connection *c = xcalloc(1, sizeof *c);
    c->fd = -1;
    int r = endpoint->socket != NULL ? connect_unix(endpoint->socket, deadline, failure, &c->fd, err)
                                     : connect_tcp(endpoint, deadline, failure, &c->fd, err);
    if (r == 0 && endpoint->encrypted) {
        r = tls_open(&c->ssl, c->fd, endpoint->host, endpoint->tls, failure, err) == 0
                ? shake_hands(c, deadline, failure, err)
                : -1;
    }
    if (r < 0) {
        return -1;
    }
    *connection = STEAL(c);
    return 0;
}

void connection_free(struct connection *connection)
{
    if (connection != NULL) {
        SSL_free(connection->ssl);
        util_closep(&connection->fd);
        free(connection);
    }
}

/* What is moved: either OUT or IN. */
struct piece {
    const void *out;
    void *in;
    size_t size;
};

/* As send and recv; what the session answers is in *RESULT. */
static ssize_t transfer(const struct connection *connection, const struct piece *piece, int *result)
{
    size_t done = 0;
    bool out = piece->out != NULL;
    if (connection->ssl == NULL) {
        return out ? send(connection->fd, piece->out, piece->size, MSG_NOSIGNAL)
                   : recv(connection->fd, piece->in, piece->size, 0);
    }
    ERR_clear_error();
    *result = out ? SSL_write_ex(connection->ssl, piece->out, piece->size, &done)
                  : SSL_read_ex(connection->ssl, piece->in, piece->size, &done);
    if (*result == 1) {
        return (ssize_t)done;
    }
    return !out && SSL_get_error(connection->ssl, *result) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

/* Sends or receives one piece; waits until it can. */
static ssize_t move(const struct connection *connection, const struct piece *piece, struct deadline deadline,
                    int failure, struct error **err)
{
    bool out = piece->out != NULL;
    for (;;) {
        int result = 0;
        if (interrupt_check(err) < 0) {
            return -1;
        }
        /* also of a server that always has another byte */
        if (deadline_left(deadline) == 0) {
            return error_new(err, STATUS_DEADLINE, "%s", no_answer);
        }
        ssize_t n = transfer(connection, piece, &result);
        if (n >= 0) {
            return n;
        }
        int r = 0;
        if (connection->ssl != NULL) {
            r = wait_tls(connection, result, deadline, no_answer, failure, err);
        } else if (errno == EAGAIN || errno == EINTR) {
            r = wait_ready(connection->fd, out ? POLLOUT : POLLIN, deadline, no_answer, err);
        } else {
            r = error_errno(err, failure, errno, out ? "sending the request" : "receiving the answer");
        }
        if (r < 0) {
            return -1;
        }
    }
}

int connection_write(struct connection *connection, const void *data, size_t len, struct deadline deadline, int failure,
                     struct error **err)
{
    for (const char *at = data; len > 0;) {
        ssize_t n = move(connection, &(struct piece){.out = at, .size = len}, deadline, failure, err);
        if (n < 0) {
            return -1;
        }
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

ssize_t connection_read(struct connection *connection, void *data, size_t size, struct deadline deadline, int failure,
                        struct error **err)
{
    return move(connection, &(struct piece){.in = data, .size = size}, deadline, failure, err);
}

bool connection_usable(const struct connection *connection)
{
    struct pollfd fd = {.fd = connection->fd, .events = POLLIN};
    return poll(&fd, 1, 0) == 0 && (connection->ssl == NULL || SSL_pending(connection->ssl) == 0);
}
