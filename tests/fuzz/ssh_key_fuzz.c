/* Public keys out of the metadata and private keys out of files: taken, or refused with a reason. What goes into
 * authorized_keys is one line that begins with the kind of key. */
#include <stdint.h>
#include <string.h>

#include "lib/core/util.h"
#include "lib/crypto/openssl.h"
#include "lib/crypto/ssh_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int r, const struct error *err)
{
    if ((r < 0) != (err != NULL) || (err != NULL && err->status != STATUS_CRYPTO)) {
        abort();
    }
}

static void check_line(const char *text)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *line = NULL;
    _cleanup_free_ char *again = NULL;
    check(ssh_public_line(text, &line, &err), err);
    if (line == NULL) {
        return;
    }
    if (!str_starts(line, "ssh-rsa ") || strpbrk(line, "\r\n") != NULL || ssh_public_line(line, &again, NULL) < 0 ||
        strcmp(line, again) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char fingerprint[SSH_FINGERPRINT];
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    _cleanup_pkey_ EVP_PKEY *public = NULL;
    _cleanup_pkey_ EVP_PKEY *private = NULL;
    _cleanup_error_ struct error *public_err = NULL;
    _cleanup_error_ struct error *private_err = NULL;
    check(ssh_public_key(text, &public, fingerprint, &public_err), public_err);
    check(ssh_private_key((const char *)data, size, &private, fingerprint, &private_err), private_err);
    check_line(text);
    return 0;
}
