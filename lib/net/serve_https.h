/* The other side of lib/net/http.h: one HTTPS request on a connection that is there already, for programs that systemd
 * starts for each connection (Accept=yes in a socket unit). */
#ifndef LIB_NET_SERVE_HTTPS_H
#define LIB_NET_SERVE_HTTPS_H

#include <stddef.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

struct https_service {
    const char *cert, *key; /* PEM files */
    size_t limit;           /* most bytes of a request's body */
    /* The answer to a POST with BODY (NUL-terminated): JSON, which is freed; NULL is answered with status 400. */
    char *(*answer)(void *context, const char *body, size_t len);
    void *context;
};

/* Answers one HTTP/1.1 request on the connected socket FD, with status 400, 405, 411 or 413 where it is not one, and
 * ends the TLS connection; FD stays open and does not block any more. STATUS_CRYPTO when the certificate cannot be
 * used, STATUS_DEADLINE, STATUS_INTERRUPTED (lib/core/interrupt.h), STATUS_FAILED when the other side does not speak
 * TLS or goes away. */
int https_serve(int fd, const struct https_service *service, struct deadline deadline, struct error **err);

#endif
