#include <errno.h>
#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "lib/crypto/crypto.h"
#include "lib/crypto/openssl.h"
#include "lib/system/file.h"

static FILE *open_pem(const char *path, struct error **err)
{
    FILE *file = file_stream(path);
    if (file == NULL) {
        (void)error_errno(err, STATUS_FILE, errno, "cannot read %s", path);
    }
    return file;
}

/* Of a certificate, or the public key itself. */
static EVP_PKEY *read_public(const char *path, struct error **err)
{
    _cleanup_fclose_ FILE *file = open_pem(path, err);
    if (file == NULL) {
        return NULL;
    }
    _cleanup_x509_ X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    EVP_PKEY *key = cert != NULL ? X509_get_pubkey(cert) : NULL;
    if (cert == NULL) {
        rewind(file);
        key = PEM_read_PUBKEY(file, NULL, NULL, NULL);
    }
    if (key == NULL) {
        (void)error_new(err, STATUS_CRYPTO, "%s holds neither a certificate nor a public key in PEM form", path);
    }
    return key;
}

int key_pair_verify(const char *public_path, const char *key_path, struct error **err)
{
    _cleanup_pkey_ EVP_PKEY *public = read_public(public_path, err);
    _cleanup_fclose_ FILE *file = public == NULL ? NULL : open_pem(key_path, err);
    if (file == NULL) {
        return -1;
    }
    _cleanup_pkey_ EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    if (key == NULL) {
        return error_new(err, STATUS_CRYPTO, "%s holds no private key in PEM form", key_path);
    }
    return EVP_PKEY_eq(public, key) == 1
               ? 0
               : error_new(err, STATUS_CRYPTO, "%s and %s do not belong together", public_path, key_path);
}
