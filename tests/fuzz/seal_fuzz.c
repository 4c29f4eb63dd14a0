/* Sealed texts out of the metadata: opened, or refused as what they are. The first byte chooses: the rest is a sealed
 * form as it is, or is a text that is sealed, changed at one place and opened. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/mman.h>

#include "lib/core/util.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/openssl.h"
#include "lib/crypto/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char *key_path, *public_line;

static void put_string(struct buffer *blob, const void *data, size_t len)
{
    const unsigned char size[] = {(unsigned char)(len >> 24), (unsigned char)(len >> 16), (unsigned char)(len >> 8),
                                  (unsigned char)len};
    buffer_append(blob, size, sizeof size);
    buffer_append(blob, data, len);
}

static void put_number(struct buffer *blob, const EVP_PKEY *key, const char *name)
{
    _cleanup_bn_ BIGNUM *number = NULL;
    unsigned char bytes[512] = {0};
    if (EVP_PKEY_get_bn_param(key, name, &number) != 1) {
        abort();
    }
    /* one byte of zero in front: the number is positive */
    int len = BN_bn2bin(number, bytes + 1);
    bool high = (bytes[1] & 0x80) != 0;
    put_string(blob, bytes + (high ? 0 : 1), (size_t)len + (high ? 1 : 0));
}

/* A key for this run, in a file that goes with it. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    _cleanup_pkey_ EVP_PKEY *key = EVP_RSA_gen(2048);
    int fd = memfd_create("key", 0);
    FILE *file = fdopen(fd, "w");
    if (key == NULL || file == NULL || PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        fflush(file) != 0) {
        abort();
    }
    _cleanup_buffer_ struct buffer blob = {0};
    put_string(&blob, "ssh-rsa", strlen("ssh-rsa"));
    put_number(&blob, key, "e");
    put_number(&blob, key, "n");
    _cleanup_free_ char *base64 = base64_encode(blob.data, blob.len);
    public_line = xasprintf("ssh-rsa %s", base64);
    key_path = xasprintf("/proc/self/fd/%d", fd);
    return 0;
}

static int open_sealed(const char *sealed, char **text, size_t *len)
{
    _cleanup_error_ struct error *err = NULL;
    int r = unseal(key_path, sealed, text, len, &err);
    if ((r < 0) != (err != NULL) || (err != NULL && err->status != STATUS_CRYPTO)) {
        abort();
    }
    return r;
}

static void check_changed(const char *text, size_t len)
{
    _cleanup_free_ char *sealed = NULL;
    _cleanup_secret_ char *opened = NULL;
    size_t opened_len = 0;
    if (seal(public_line, text, len, &sealed, NULL) < 0 || open_sealed(sealed, &opened, &opened_len) < 0 ||
        opened_len != len || memcmp(opened, text, len) != 0) {
        abort();
    }
    size_t at = len * 31 % strlen(sealed);
    sealed[at] = sealed[at] == 'A' ? 'B' : 'A';
    _cleanup_secret_ char *wrong = NULL;
    if (open_sealed(sealed, &wrong, &opened_len) == 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        check_changed((const char *)data + 1, size - 1);
        return 0;
    }
    _cleanup_free_ char *sealed = xstrndup((const char *)data + 1, size - 1);
    _cleanup_secret_ char *text = NULL;
    size_t len = 0;
    (void)open_sealed(sealed, &text, &len);
    return 0;
}
