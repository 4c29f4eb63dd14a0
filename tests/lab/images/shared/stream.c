#include "tests/lab/images/shared/stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/program.h"

static void limit(int fd, int seconds)
{
    struct timeval wait = {.tv_sec = seconds};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

static int dial(const char *host, int port, int seconds)
{
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    (void)snprintf(service, sizeof service, "%d", port);
    int why = getaddrinfo(host, service, &hints, &found);
    if (why != 0) {
        say("resolving %s: %s", host, gai_strerror(why));
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            continue;
        }
        limit(fd, seconds);
        if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            say("connecting to %s:%d: %s", host, port, strerror(errno));
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

static SSL_CTX *client_context(const char *ca)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) {
        fail("TLS cannot be set up");
    }
    if (ca != NULL) {
        if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1) {
            fail("%s: not a file of certificates", ca);
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    return context;
}

static const char *tls_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_get_error());
    return reason == NULL ? "connection closed" : reason;
}

struct stream *stream_connect(const char *host, int port, bool secure, const char *ca, int seconds)
{
    int fd = dial(host, port, seconds);
    if (fd < 0) {
        return NULL;
    }
    struct stream *s = xcalloc(1, sizeof *s);
    s->fd = fd;
    if (secure) {
        SSL_CTX *context = client_context(ca);
        s->tls = SSL_new(context);
        SSL_CTX_free(context);
        if (s->tls == NULL || SSL_set_fd(s->tls, fd) != 1 || SSL_connect(s->tls) != 1) {
            say("TLS with %s:%d: %s", host, port, tls_reason());
            stream_close(s);
            return NULL;
        }
    }
    return s;
}

struct stream *stream_accept(int fd, SSL_CTX *context, int seconds)
{
    struct stream *s = xcalloc(1, sizeof *s);
    s->fd = fd;
    limit(fd, seconds);
    if (context != NULL) {
        s->tls = SSL_new(context);
        if (s->tls == NULL || SSL_set_fd(s->tls, fd) != 1 || SSL_accept(s->tls) != 1) {
            stream_close(s);
            return NULL;
        }
    }
    return s;
}

ssize_t stream_read(struct stream *s, void *data, size_t size)
{
    if (s->tls != NULL) {
        size_t n = 0;
        return SSL_read_ex(s->tls, data, size, &n) == 1 ? (ssize_t)n
                                                        : (SSL_get_error(s->tls, 0) == SSL_ERROR_ZERO_RETURN ? 0 : -1);
    }
    ssize_t n = recv(s->fd, data, size, 0);
    while (n < 0 && errno == EINTR) {
        n = recv(s->fd, data, size, 0);
    }
    return n;
}

bool stream_write(struct stream *s, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        size_t n = 0;
        if (s->tls != NULL) {
            if (SSL_write_ex(s->tls, at, len, &n) != 1) {
                return false;
            }
        } else {
            ssize_t sent = send(s->fd, at, len, MSG_NOSIGNAL);
            if (sent < 0 && errno != EINTR) {
                return false;
            }
            n = sent < 0 ? 0 : (size_t)sent;
        }
        at += n;
        len -= n;
    }
    return true;
}

void stream_close(struct stream *s)
{
    if (s == NULL) {
        return;
    }
    SSL_free(s->tls);
    close(s->fd);
    free(s);
}

static X509 *certificate_for(const char *name, EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_NAME_new();
    if (certificate == NULL || subject == NULL ||
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) != 1 ||
        X509_set_version(certificate, 2) != 1 || ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) != 1 ||
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) == NULL ||
        X509_gmtime_adj(X509_getm_notAfter(certificate), 365L * 86400) == NULL ||
        X509_set_subject_name(certificate, subject) != 1 || X509_set_issuer_name(certificate, subject) != 1 ||
        X509_set_pubkey(certificate, key) != 1 || X509_sign(certificate, key, EVP_sha256()) == 0) {
        fail("a certificate cannot be made");
    }
    X509_NAME_free(subject);
    return certificate;
}

SSL_CTX *tls_server(const char *name)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (context == NULL || key == NULL) {
        fail("TLS cannot be set up");
    }
    X509 *certificate = certificate_for(name, key);
    if (SSL_CTX_use_certificate(context, certificate) != 1 || SSL_CTX_use_PrivateKey(context, key) != 1) {
        fail("TLS cannot be set up");
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

SSL_CTX *tls_server_files(const char *certificate, const char *key)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        fail("%s and %s: not a certificate and its key", certificate, key);
    }
    return context;
}

int listen_tcp(int port)
{
    struct sockaddr_in here = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_ANY)}};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&here, sizeof here) != 0 || listen(fd, 64) != 0) {
        fail("listening on port %d: %s", port, strerror(errno));
    }
    return fd;
}
