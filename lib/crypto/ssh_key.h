/* RSA keys as OpenSSH writes them, as OpenSSL keys. */
#ifndef LIB_CRYPTO_SSH_KEY_H
#define LIB_CRYPTO_SSH_KEY_H

#include <openssl/evp.h>

#include "lib/core/error.h"

enum { SSH_FINGERPRINT = 32 };

/* LINE is "ssh-rsa AAAA... comment". FINGERPRINT is the SHA-256 of its binary form. *key is freed with EVP_PKEY_free.
 * STATUS_CRYPTO for anything else, and for keys under 2048 bits. */
int ssh_public_key(const char *line, EVP_PKEY **key, unsigned char fingerprint[SSH_FINGERPRINT], struct error **err);

/* LINE again as "ssh-rsa BASE64" and its comment, if it has one, from the decoded key: no options of authorized_keys
 * (sshd(8)), no other kind of key, no second line. STATUS_CRYPTO for anything else. The caller frees *clean. */
int ssh_public_line(const char *line, char **clean, struct error **err);

/* TEXT is a private key file: PEM (PKCS#1, PKCS#8) or OpenSSH's own form (PROTOCOL.key in OpenSSH's source), without a
 * passphrase. FINGERPRINT is that of its public half. */
int ssh_private_key(const char *text, size_t len, EVP_PKEY **key, unsigned char fingerprint[SSH_FINGERPRINT],
                    struct error **err);

#endif
