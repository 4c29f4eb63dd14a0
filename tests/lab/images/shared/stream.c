#include "tests/lab/images/shared/stream.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/program.h"

/* A host that answers nothing is not waited for as long as one that works. */
enum { CONNECT_S = 10 };

static void limit(int fd, int seconds)
{
    struct timeval wait = {.tv_sec = seconds};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

/* A static program has no getaddrinfo: it would open libraries that are not there. */
char **host_addresses(const char *host)
{
    unsigned char answer[4096];
    struct in_addr address;
    ns_msg message;
    ns_rr record;
    if (inet_pton(AF_INET, host, &address) == 1) {
        return strv_split(host);
    }
    char **all = strv_split("");
    int n = res_search(host, ns_c_in, ns_t_a, answer, sizeof answer);
    if (n < 0 || ns_initparse(answer, n, &message) != 0) {
        say("resolving %s: %s", host, hstrerror(h_errno));
        return all;
    }
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        if (ns_parserr(&message, ns_s_an, i, &record) == 0 && ns_rr_type(record) == ns_t_a &&
            ns_rr_rdlen(record) == sizeof address) {
            char text[INET_ADDRSTRLEN] = "";
            (void)inet_ntop(AF_INET, ns_rr_rdata(record), text, sizeof text);
            strv_push(&all, text);
        }
    }
    if (*all == NULL) {
        say("resolving %s: no address", host);
    }
    return all;
}

static bool resolve(const char *host, struct in_addr *address)
{
    _cleanup_strv_ char **all = host_addresses(host);
    return *all != NULL && inet_pton(AF_INET, *all, address) == 1;
}

static int dial(const char *host, int port, int seconds)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (!resolve(host, &to.sin_addr)) {
        return -1;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail("socket: %s", strerror(errno));
    }
    limit(fd, seconds < CONNECT_S ? seconds : CONNECT_S);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        say("connecting to %s:%d: %s", host, port, strerror(errno));
        close(fd);
        return -1;
    }
    limit(fd, seconds);
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

/* One that is not good is as none at all: the handler decides what a client without one may. */
static int take_any(int good, X509_STORE_CTX *context)
{
    (void)good;
    (void)context;
    return 1;
}

void tls_ask_client(SSL_CTX *context, const char *ca)
{
    BIO *text = BIO_new_mem_buf(ca, -1);
    X509 *certificate = text == NULL ? NULL : PEM_read_bio_X509(text, NULL, NULL, NULL);
    if (certificate == NULL || X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) != 1) {
        fail("not a CA of client certificates");
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, take_any);
    X509_free(certificate);
    BIO_free(text);
}

char *stream_peer(const struct stream *s)
{
    char name[256] = "";
    X509 *certificate = s->tls == NULL ? NULL : SSL_get1_peer_certificate(s->tls);
    if (certificate == NULL) {
        return NULL;
    }
    if (SSL_get_verify_result(s->tls) == X509_V_OK) {
        (void)X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    }
    X509_free(certificate);
    return name[0] == '\0' ? NULL : xstrdup(name);
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
