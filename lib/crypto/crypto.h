/* What the product uses OpenSSL for. Lower-case hex everywhere; the caller frees every char * result. */
#ifndef LIB_CRYPTO_CRYPTO_H
#define LIB_CRYPTO_CRYPTO_H

#include <stddef.h>
#include <time.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

char *base64_encode(const void *data, size_t len);
/* Refuses anything but canonical base64 (line breaks allowed): STATUS_CRYPTO. */
int base64_decode(const char *text, unsigned char **data, size_t *len, struct error **err);

/* HMAC-SHA256 of TEXT under KEY, base64: the cloud API's signature. */
char *hmac_sha256_base64(const char *key, const char *text);

/* COUNT (at most 64) random bytes as base64: a secret key. The caller wipes and frees. STATUS_CRYPTO. */
int random_base64(size_t count, char **text, struct error **err);

char *sha256_hex(const void *data, size_t len);
int sha256_file(const char *path, char **hex, struct error **err);

/* A bootstrap token "[a-z0-9]{6}.[a-z0-9]{16}" from the system's random source.
 * Format: kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens */
int bootstrap_token_new(char **token, struct error **err);
bool bootstrap_token_valid(const char *token);

/* TEXT holds certificates in PEM form and nothing else; its line breaks may have become blanks, or been lost, as
 * happens in a form's single line. *pem is the same as files have them. STATUS_CRYPTO. */
int certificates_from_text(const char *text, char **pem, struct error **err);

/* "sha256:<hex>" of the DER SubjectPublicKeyInfo of the first certificate in PATH: what kubeadm's
 * --discovery-token-ca-cert-hash takes. */
int ca_public_key_hash(const char *path, char **hash, struct error **err);

/* Verifies that PUBLIC_PATH (a certificate or a public key) and KEY_PATH (its private key), both PEM, belong together.
 * STATUS_FILE when one cannot be read, STATUS_CRYPTO when it is damaged or of another pair. */
int key_pair_verify(const char *public_path, const char *key_path, struct error **err);

struct cert_info {
    char *subject;      /* common name */
    char *organization; /* the first one; "" without any */
    char **names;       /* DNS names and IP addresses */
    time_t not_before, not_after;
};
int cert_read(const char *path, struct cert_info *info, struct error **err); /* first certificate in a PEM file */
int cert_parse(const char *pem, size_t len, struct cert_info *info, struct error **err);
void cert_info_free(struct cert_info *info);
long cert_days_left(const struct cert_info *info, time_t now);

#endif
