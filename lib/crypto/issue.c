#include "lib/crypto/issue.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "lib/core/util.h"
#include "lib/crypto/openssl.h"
#include "lib/system/file.h"

struct ca {
    X509 *cert;
    EVP_PKEY *key;
};

static void ca_clear(struct ca *ca)
{
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
}

static int fail(struct error **err, const char *what)
{
    char reason[256];
    ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
    return error_new(err, STATUS_CRYPTO, "%s: %s", what, reason);
}

static int open_ca(const char *cert, const char *key, struct ca *ca, struct error **err)
{
    _cleanup_fclose_ FILE *cert_file = file_stream(cert);
    if (cert_file == NULL) {
        return error_errno(err, STATUS_CRYPTO, errno, "cannot read the CA certificate %s", cert);
    }
    _cleanup_fclose_ FILE *key_file = file_stream(key);
    if (key_file == NULL) {
        return error_errno(err, STATUS_CRYPTO, errno, "cannot read the CA key %s", key);
    }
    ca->cert = PEM_read_X509(cert_file, NULL, NULL, NULL);
    ca->key = PEM_read_PrivateKey(key_file, NULL, NULL, NULL);
    if (ca->cert == NULL || ca->key == NULL) {
        return fail(err, ca->cert == NULL ? cert : key);
    }
    return 0;
}

static bool add_extension(X509 *cert, const struct ca *ca, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, ca->cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool set_serial(X509 *cert)
{
    BIGNUM *number = BN_new();
    bool set = number != NULL && BN_rand(number, 63, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
               BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return set;
}

static bool set_subject(X509 *cert, const char *name, const char *group)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    return X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const unsigned char *)group, -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1;
}

static bool fill(X509 *cert, EVP_PKEY *key, const struct ca *ca, const char *name, const char *group)
{
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) && set_subject(cert, name, group) &&
           X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -300) != NULL &&
           X509_set1_notAfter(cert, X509_get0_notAfter(ca->cert)) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, ca, NID_key_usage, "critical,digitalSignature,keyEncipherment") &&
           add_extension(cert, ca, NID_ext_key_usage, "clientAuth") && X509_sign(cert, ca->key, EVP_sha256()) != 0;
}

static bool fill_own(X509 *cert, EVP_PKEY *key, const char *name, int days)
{
    const struct ca self = {cert, key};
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) && set_subject(cert, name, "k8s-hooks") &&
           X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -300) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) != NULL && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, &self, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, &self, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, &self, NID_ext_key_usage, "serverAuth") &&
           add_extension(cert, &self, NID_subject_alt_name, "IP:127.0.0.1") && X509_sign(cert, key, EVP_sha256()) != 0;
}

static char *bio_text(BIO *bio)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    return xstrndup(data, (size_t)len);
}

static int print_pair(X509 *new_cert, EVP_PKEY *new_key, char **cert, char **key, struct error **err)
{
    _cleanup_bio_ BIO *cert_text = BIO_new(BIO_s_mem());
    _cleanup_bio_ BIO *key_text = BIO_new(BIO_s_secmem());
    if (cert_text == NULL || key_text == NULL || PEM_write_bio_X509(cert_text, new_cert) != 1 ||
        PEM_write_bio_PKCS8PrivateKey(key_text, new_key, NULL, NULL, 0, NULL, NULL) != 1) {
        return fail(err, "cannot print a new certificate and its key");
    }
    *cert = bio_text(cert_text);
    *key = bio_text(key_text);
    return 0;
}

int issue_client(const char *ca_cert, const char *ca_key, const char *name, const char *group, char **cert, char **key,
                 struct error **err)
{
    _cleanup_(ca_clear) struct ca ca = {0};
    if (open_ca(ca_cert, ca_key, &ca, err) < 0) {
        return -1;
    }
    _cleanup_pkey_ EVP_PKEY *new_key = EVP_EC_gen("P-256");
    _cleanup_x509_ X509 *new_cert = X509_new();
    if (new_key == NULL || new_cert == NULL || !fill(new_cert, new_key, &ca, name, group)) {
        return fail(err, "cannot issue a client certificate");
    }
    return print_pair(new_cert, new_key, cert, key, err);
}

int issue_loopback_server(const char *name, int days, char **cert, char **key, struct error **err)
{
    _cleanup_pkey_ EVP_PKEY *new_key = EVP_EC_gen("P-256");
    _cleanup_x509_ X509 *new_cert = X509_new();
    if (new_key == NULL || new_cert == NULL || !fill_own(new_cert, new_key, name, days)) {
        return fail(err, "cannot issue a server certificate");
    }
    return print_pair(new_cert, new_key, cert, key, err);
}
