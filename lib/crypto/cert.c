#include <arpa/inet.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "lib/crypto/crypto.h"
#include "lib/crypto/openssl.h"
#include "lib/system/file.h"

static int load(const char *pem, size_t len, X509 **cert, struct error **err)
{
    _cleanup_bio_ BIO *bio = BIO_new_mem_buf(pem, (int)len);
    *cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    return *cert != NULL ? 0 : error_new(err, STATUS_CRYPTO, "no certificate in PEM form in it");
}

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"
#define PEM_END "-----END CERTIFICATE-----"
#define BLANKS " \t\r\n"

/* BODY is the base64 between the two. */
static int append_certificate(const char *body, size_t len, BIO *out, struct error **err)
{
    _cleanup_buffer_ struct buffer digits = {0};
    _cleanup_free_ unsigned char *der = NULL;
    size_t der_len = 0;
    buffer_puts(&digits, "");
    for (size_t i = 0; i < len; i++) {
        if (strchr(BLANKS, body[i]) == NULL) {
            buffer_append(&digits, body + i, 1);
        }
    }
    if (base64_decode(digits.data, &der, &der_len, err) < 0) {
        return -1;
    }
    const unsigned char *at = der;
    _cleanup_x509_ X509 *cert = d2i_X509(NULL, &at, (long)der_len);
    if (cert == NULL || at != der + der_len || PEM_write_bio_X509(out, cert) != 1) {
        ERR_clear_error();
        return error_new(err, STATUS_CRYPTO, "between \"" PEM_BEGIN "\" and \"" PEM_END "\" is not a certificate");
    }
    return 0;
}

int certificates_from_text(const char *text, char **pem, struct error **err)
{
    _cleanup_bio_ BIO *out = BIO_new(BIO_s_mem());
    do {
        text += strspn(text, BLANKS);
        const char *end = str_starts(text, PEM_BEGIN) ? strstr(text, PEM_END) : NULL;
        if (out == NULL || end == NULL) {
            return error_new(err, STATUS_CRYPTO, "it holds more, or other things, than certificates in PEM form");
        }
        text += strlen(PEM_BEGIN);
        if (append_certificate(text, (size_t)(end - text), out, err) < 0) {
            return -1;
        }
        text = end + strlen(PEM_END);
        text += strspn(text, BLANKS);
    } while (*text != '\0');
    char *written = NULL;
    long len = BIO_get_mem_data(out, &written);
    *pem = xstrndup(written, (size_t)len);
    return 0;
}

static void add_name(char ***names, const GENERAL_NAME *name)
{
    int type = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    const unsigned char *data = type == GEN_DNS || type == GEN_IPADD ? ASN1_STRING_get0_data(value) : NULL;
    char address[INET6_ADDRSTRLEN] = "";
    if (type == GEN_DNS) {
        _cleanup_free_ char *text = xstrndup((const char *)data, (size_t)ASN1_STRING_length(value));
        strv_push(names, text);
    } else if (type == GEN_IPADD) {
        int family = ASN1_STRING_length(value) == 4 ? AF_INET : AF_INET6;
        if (inet_ntop(family, data, address, sizeof address) != NULL) {
            strv_push(names, address);
        }
    }
}

static char **alternative_names(const X509 *cert)
{
    char **names = xcalloc(1, sizeof *names);
    _cleanup_general_names_ GENERAL_NAMES *list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; list != NULL && i < sk_GENERAL_NAME_num(list); i++) {
        add_name(&names, sk_GENERAL_NAME_value(list, i));
    }
    return names;
}

static bool to_time(const ASN1_TIME *from, time_t *to)
{
    struct tm tm = {0};
    if (ASN1_TIME_to_tm(from, &tm) != 1) {
        return false;
    }
    *to = timegm(&tm);
    return true;
}

int cert_parse(const char *pem, size_t len, struct cert_info *info, struct error **err)
{
    _cleanup_x509_ X509 *cert = NULL;
    if (load(pem, len, &cert, err) < 0) {
        return -1;
    }
    struct cert_info read = {0};
    if (!to_time(X509_get0_notBefore(cert), &read.not_before) || !to_time(X509_get0_notAfter(cert), &read.not_after)) {
        return error_new(err, STATUS_CRYPTO, "the certificate's times cannot be read");
    }
    char name[256] = "";
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof name);
    read.subject = xstrdup(name);
    *name = '\0';
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_organizationName, name, sizeof name);
    read.organization = xstrdup(name);
    read.names = alternative_names(cert);
    *info = read;
    return 0;
}

int cert_read(const char *path, struct cert_info *info, struct error **err)
{
    _cleanup_secret_ char *pem = NULL;
    size_t len = 0;
    if (file_read(path, 1 << 20, &pem, &len, err) < 0) {
        return error_wrap(err, "reading a certificate");
    }
    return cert_parse(pem, len, info, err) < 0 ? error_wrap(err, "%s", path) : 0;
}

void cert_info_free(struct cert_info *info)
{
    free(info->subject);
    free(info->organization);
    strv_free(info->names);
    *info = (struct cert_info){0};
}

long cert_days_left(const struct cert_info *info, time_t now)
{
    time_t left = info->not_after - now;
    enum { DAY = 86400 };
    /* Rounded down, also below zero: one that expired a minute ago has -1 days, not 0. */
    return left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY);
}

int ca_public_key_hash(const char *path, char **hash, struct error **err)
{
    _cleanup_free_ char *pem = NULL;
    size_t len = 0;
    _cleanup_x509_ X509 *cert = NULL;
    if (file_read(path, 1 << 20, &pem, &len, err) < 0 || load(pem, len, &cert, err) < 0) {
        return error_wrap(err, "reading the CA certificate %s", path);
    }
    unsigned char *der = NULL;
    int der_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    if (der_len <= 0) {
        return error_new(err, STATUS_CRYPTO, "%s: its public key cannot be written as DER", path);
    }
    _cleanup_free_ char *digest = sha256_hex(der, (size_t)der_len);
    OPENSSL_free(der);
    *hash = xasprintf("sha256:%s", digest);
    return 0;
}
