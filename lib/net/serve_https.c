#include "lib/net/serve_https.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lib/core/interrupt.h"

enum { HEADER_LIMIT = 64 * 1024, BLOCK = 16 * 1024 };

struct connection {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
    struct deadline deadline;
};

static void connection_close(struct connection *connection)
{
    SSL_free(connection->ssl);
    SSL_CTX_free(connection->context);
}

static int fail(const struct connection *connection, int status, const char *what, struct error **err)
{
    char reason[256];
    unsigned long code = ERR_get_error();
    if (deadline_left(connection->deadline) == 0) {
        return error_new(err, STATUS_DEADLINE, "an HTTPS request: %s: timed out", what);
    }
    ERR_error_string_n(code, reason, sizeof reason);
    return error_new(err, status, "an HTTPS request: %s: %s", what, code != 0 ? reason : "the connection ended");
}

/* After RESULT of a call on the session: 0 when it is to be repeated now. */
static int wait_ready(const struct connection *connection, int result, const char *what, struct error **err)
{
    int reason = SSL_get_error(connection->ssl, result);
    if (deadline_left(connection->deadline) == 0 || (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE)) {
        return fail(connection, STATUS_FAILED, what, err);
    }
    int ready =
        interrupt_wait(connection->fd, reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, connection->deadline, err);
    return ready == 0 ? fail(connection, STATUS_FAILED, what, err) : ready < 0 ? -1 : 0;
}

static int shake_hands(const struct connection *connection, struct error **err)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_accept(connection->ssl);
        if (result == 1) {
            return 0;
        }
        if (wait_ready(connection, result, "TLS handshake", err) < 0) {
            return -1;
        }
    }
}

static int start(struct connection *connection, const struct https_service *service, struct error **err)
{
    connection->context = SSL_CTX_new(TLS_server_method());
    if (connection->context == NULL || SSL_CTX_set_min_proto_version(connection->context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_use_certificate_file(connection->context, service->cert, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(connection->context, service->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(connection->context) != 1) {
        return fail(connection, STATUS_CRYPTO, service->cert, err);
    }
    connection->ssl = SSL_new(connection->context);
    if (connection->ssl == NULL || SSL_set_fd(connection->ssl, connection->fd) != 1) {
        return fail(connection, STATUS_CRYPTO, "starting TLS", err);
    }
    int flags = fcntl(connection->fd, F_GETFL);
    if (flags < 0 || fcntl(connection->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return error_errno(err, STATUS_FAILED, errno, "an HTTPS request: setting O_NONBLOCK");
    }
    return shake_hands(connection, err);
}

static int read_more(struct connection *connection, struct buffer *in, struct error **err)
{
    char block[BLOCK];
    for (;;) {
        ERR_clear_error();
        int n = SSL_read(connection->ssl, block, sizeof block);
        if (n > 0) {
            buffer_append(in, block, (size_t)n);
            return 0;
        }
        if (wait_ready(connection, n, "reading", err) < 0) {
            return -1;
        }
    }
}

/* The value of header NAME in HEAD, which ends with an empty line; borrowed, up to the line's end. NULL: none. */
static const char *header(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':') {
            const char *value = line + 2 + len + 1;
            return value + strspn(value, " \t");
        }
    }
    return NULL;
}

/* *BODY is where the request's body begins in IN, *LEN its length. Returns 0, an HTTP status for what is not accepted,
 * or -1. */
static int read_request(struct connection *connection, const struct https_service *service, struct buffer *in,
                        size_t *body, size_t *len, struct error **err)
{
    const char *end = NULL;
    while (in->data == NULL || (end = strstr(in->data, "\r\n\r\n")) == NULL) {
        if (in->len > HEADER_LIMIT) {
            return 413;
        }
        if (read_more(connection, in, err) < 0) {
            return -1;
        }
    }
    _cleanup_free_ char *head = xstrndup(in->data, (size_t)(end - in->data) + 4);
    const char *length = header(head, "Content-Length");
    if (strncmp(head, "POST ", 5) != 0) {
        return 405;
    }
    if (length == NULL || *length < '0' || *length > '9') {
        return 411;
    }
    errno = 0;
    unsigned long long wanted = strtoull(length, NULL, 10);
    if (errno != 0 || wanted > service->limit) {
        return 413;
    }
    *body = strlen(head);
    *len = (size_t)wanted;
    while (in->len - *body < *len) {
        if (read_more(connection, in, err) < 0) {
            return -1;
        }
    }
    in->data[*body + *len] = '\0';
    return 0;
}

static const char *phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 405:
        return "Method Not Allowed";
    case 411:
        return "Length Required";
    case 413:
        return "Payload Too Large";
    default:
        return "Bad Request";
    }
}

static int respond(struct connection *connection, int status, const char *json, struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0};
    buffer_printf(&out,
                  "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                  "Connection: close\r\n\r\n%s",
                  status, phrase(status), strlen(json), json);
    /* without SSL_MODE_ENABLE_PARTIAL_WRITE it is all or nothing */
    for (int n = 0; n <= 0;) {
        ERR_clear_error();
        n = SSL_write(connection->ssl, out.data, (int)out.len);
        if (n <= 0 && wait_ready(connection, n, "answering", err) < 0) {
            return -1;
        }
    }
    (void)SSL_shutdown(connection->ssl);
    return 0;
}

int https_serve(int fd, const struct https_service *service, struct deadline deadline, struct error **err)
{
    _cleanup_(connection_close) struct connection connection = {.fd = fd, .deadline = deadline};
    _cleanup_buffer_ struct buffer in = {0};
    size_t body = 0;
    size_t len = 0;
    if (start(&connection, service, err) < 0) {
        return -1;
    }
    int refused = read_request(&connection, service, &in, &body, &len, err);
    if (refused != 0) {
        return refused < 0 ? -1 : respond(&connection, refused, "{}", err);
    }
    _cleanup_free_ char *answer = service->answer(service->context, in.data + body, len);
    return respond(&connection, answer != NULL ? 200 : 400, answer != NULL ? answer : "{}", err);
}
