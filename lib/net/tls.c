#include "lib/net/tls.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

static void free_context(SSL_CTX **context)
{
    SSL_CTX_free(*context);
}

static void free_session(SSL **ssl)
{
    SSL_free(*ssl);
}

static const char *openssl_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerrordesc_np(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    return reason != NULL ? reason : "unknown reason";
}

const char *tls_reason(const SSL *ssl)
{
    unsigned long code = ERR_peek_last_error();
    if (code == 0) {
        return "the connection was closed";
    }
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        return X509_verify_cert_error_string(SSL_get_verify_result(ssl));
    }
    return openssl_reason();
}

static int trust(SSL_CTX *context, const struct http_tls *tls, int failure, struct error **err)
{
    if (tls != NULL && tls->self_signed) {
        return 0;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    /* what is in the file is trusted, whether or not a CA above has signed it */
    (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    if (tls != NULL && tls->ca != NULL) {
        return SSL_CTX_load_verify_file(context, tls->ca) == 1
                   ? 0
                   : error_new(err, failure, "loading the CA %s: %s", tls->ca, openssl_reason());
    }
    return SSL_CTX_set_default_verify_paths(context) == 1
               ? 0
               : error_new(err, failure, "loading the system's CAs: %s", openssl_reason());
}

static int identify(SSL_CTX *context, const struct http_tls *tls, int failure, struct error **err)
{
    if (tls == NULL || tls->cert == NULL) {
        return 0;
    }
    const char *key = tls->key != NULL ? tls->key : tls->cert;
    if (SSL_CTX_use_certificate_chain_file(context, tls->cert) != 1) {
        return error_new(err, failure, "loading the certificate %s: %s", tls->cert, openssl_reason());
    }
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        return error_new(err, failure, "loading the key %s: %s", key, openssl_reason());
    }
    return 0;
}

/* The server's certificate must be for HOST; a name is also sent, for servers that have several. */
static bool expect(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int tls_open(SSL **ssl, int fd, const char *host, const struct http_tls *tls, int failure, struct error **err)
{
    ERR_clear_error();
    _cleanup_(free_context) SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        return error_new(err, STATUS_FAILED, "starting TLS: %s", openssl_reason());
    }
    if (trust(context, tls, failure, err) < 0 || identify(context, tls, failure, err) < 0) {
        return -1;
    }
    _cleanup_(free_session) SSL *session = SSL_new(context);
    if (session == NULL || SSL_set_fd(session, fd) != 1 || !expect(session, host)) {
        return error_new(err, STATUS_FAILED, "starting TLS: %s", openssl_reason());
    }
    SSL_set_connect_state(session);
    SSL_set_mode(session, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    *ssl = STEAL(session);
    return 0;
}
