/* Sealing: a text that only the holder of one RSA key can read. An AES-256-GCM key is wrapped with RSA-OAEP (SHA-256).
 * The sealed form is one line of base64, safe in the metadata. */
#ifndef LIB_CRYPTO_SEAL_H
#define LIB_CRYPTO_SEAL_H

#include <stddef.h>

#include "lib/core/error.h"

/* PUB_KEY is an OpenSSH line ("ssh-rsa AAAA... comment"), as AppCenter publishes it. The caller frees *sealed. */
int seal(const char *pub_key, const char *text, size_t len, char **sealed, struct error **err);

/* KEY_PATH holds the RSA private key in PEM (PKCS#1, PKCS#8) or OpenSSH form, without a passphrase. STATUS_CRYPTO when
 * the key is another one or the text was changed. *text is NUL-terminated; wipe and free it (_cleanup_secret_). */
int unseal(const char *key_path, const char *sealed, char **text, size_t *len, struct error **err);

/* Fingerprint "SHA256:..." of an OpenSSH public key line, as `ssh-keygen -l` prints it; shows whether a text was
 * sealed for this key. */
int ssh_fingerprint(const char *pub_key, char **fingerprint, struct error **err);

#endif
