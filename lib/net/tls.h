/* The client's side of TLS over OpenSSL: versions, whom to trust, who we are. */
#ifndef LIB_NET_TLS_H
#define LIB_NET_TLS_H

#include <openssl/ssl.h>

#include "lib/net/http.h"

/* A session over the connected FD, before its handshake: TLS 1.2 or later, the server's certificate checked against
 * HOST, a name or an address, unless TLS says otherwise. TLS may be NULL. Reads the files that TLS names: FAILURE names
 * the one that cannot be used. The caller frees with SSL_free. */
int tls_open(SSL **ssl, int fd, const char *host, const struct http_tls *tls, int failure, struct error **err);

/* Why the last call on SSL failed. */
const char *tls_reason(const SSL *ssl);

#endif
