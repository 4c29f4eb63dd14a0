/* A connection, in the clear or with TLS, with a limit on each wait. */
#ifndef LAB_IMAGES_STREAM_H
#define LAB_IMAGES_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <openssl/ssl.h>

struct stream {
    int fd;
    SSL *tls; /* NULL: in the clear */
};

/* The IPv4 addresses of HOST, a name or an address itself; empty when there is none (logged). strv_free(). */
char **host_addresses(const char *host);

/* To HOST (address or name) and PORT. CA: a file of certificates to trust; NULL with SECURE: any certificate. NULL when
 * it cannot be made, which is logged. Reads and writes end with -1 after SECONDS of nothing. */
struct stream *stream_connect(const char *host, int port, bool secure, const char *ca, int seconds);
/* A connection that was accepted; with CONTEXT (may be NULL) TLS is agreed on. Takes FD. */
struct stream *stream_accept(int fd, SSL_CTX *context, int seconds);
ssize_t stream_read(struct stream *s, void *data, size_t size);
bool stream_write(struct stream *s, const void *data, size_t len);
void stream_close(struct stream *s); /* NULL is allowed */

/* A server's context with a key and a certificate of its own, made now for NAME. */
SSL_CTX *tls_server(const char *name);
/* The same from files in PEM. */
/* CONTEXT asks for the client's certificate and takes those signed by CA (PEM). */
void tls_ask_client(SSL_CTX *context, const char *ca);
/* The name of the client's certificate that was checked, or NULL. The caller frees. */
char *stream_peer(const struct stream *s);
SSL_CTX *tls_server_files(const char *certificate, const char *key);

/* A listening TCP socket on every address; the program ends when there can be none. */
int listen_tcp(int port);

#endif
