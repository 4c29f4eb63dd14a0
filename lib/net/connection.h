/* A byte stream to a server: a Unix socket, TCP, or TLS over it. Every wait, also that for a name server, ends at a
 * deadline with STATUS_DEADLINE, and with STATUS_INTERRUPTED as soon as a termination signal was taken
 * (lib/core/interrupt.h); what else fails is FAILURE. Messages say what was tried, not with whom. SIGPIPE is to be
 * ignored (program_start does): OpenSSL writes without MSG_NOSIGNAL. */
#ifndef LIB_NET_CONNECTION_H
#define LIB_NET_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

struct connection;

struct http_tls;

struct endpoint {
    const char *socket; /* path of a Unix socket; NULL: HOST and PORT */
    const char *host;   /* a name, or an address without brackets */
    const char *port;   /* decimal */
    bool encrypted;
    const struct http_tls *tls; /* lib/net/http.h; used when ENCRYPTED, its files are read here */
};

/* Tries the addresses of the host in the resolver's order, each with its share of the time that is left. */
int connection_open(struct connection **connection, const struct endpoint *endpoint, struct deadline deadline,
                    int failure, struct error **err);
void connection_free(struct connection *connection);

/* The whole of DATA. */
int connection_write(struct connection *connection, const void *data, size_t len, struct deadline deadline, int failure,
                     struct error **err);

/* What has come, at most SIZE bytes; 0 at the end of the stream. */
ssize_t connection_read(struct connection *connection, void *data, size_t size, struct deadline deadline, int failure,
                        struct error **err);

/* False once the server has closed an idle connection, or sent what nobody requested. */
bool connection_usable(const struct connection *connection);

#endif
