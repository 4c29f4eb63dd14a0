#include "lib/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "lib/crypto/openssl.h"
#include "lib/system/file.h"

enum { TOKEN_ID = 6, TOKEN_SECRET = 16 };

static char *hex(const unsigned char *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *text = xcalloc(2 * len + 1, 1);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    return text;
}

char *base64_encode(const void *data, size_t len)
{
    char *text = xcalloc((len + 2) / 3 * 4 + 1, 1);
    (void)EVP_EncodeBlock((unsigned char *)text, data, (int)len);
    return text;
}

static int base64_value(char c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);
    return at == NULL ? -1 : (int)(at - alphabet);
}

/* Decodes LEN digits, a multiple of 4, into *to; -1 where they are not canonical: padding elsewhere than at the end, or
 * bits set that no byte uses. */
static int decode_digits(const char *digits, size_t len, struct buffer *to)
{
    for (size_t i = 0; i < len; i += 4) {
        size_t padding = 0;
        if (i + 4 == len) {
            padding = digits[i + 3] != '=' ? 0 : digits[i + 2] != '=' ? 1 : 2;
        }
        uint32_t bits = 0;
        for (size_t j = 0; j < 4; j++) {
            int value = j >= 4 - padding ? 0 : base64_value(digits[i + j]);
            if (value < 0) {
                return -1;
            }
            bits = bits << 6 | (uint32_t)value;
        }
        const unsigned char bytes[] = {(unsigned char)(bits >> 16), (unsigned char)(bits >> 8), (unsigned char)bits};
        if ((padding > 0 && bytes[2] != 0) || (padding > 1 && bytes[1] != 0)) {
            return -1;
        }
        buffer_append(to, bytes, 3 - padding);
    }
    return 0;
}

int base64_decode(const char *text, unsigned char **data, size_t *len, struct error **err)
{
    _cleanup_buffer_ struct buffer digits = {0};
    struct buffer decoded = {0};
    buffer_puts(&digits, "");
    buffer_puts(&decoded, "");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c != '\n' && *c != '\r') {
            buffer_append(&digits, c, 1);
        }
    }
    int r = digits.len % 4 != 0 ? -1 : decode_digits(digits.data, digits.len, &decoded);
    explicit_bzero(digits.data, digits.len);
    if (r < 0) {
        buffer_free(&decoded);
        return error_new(err, STATUS_CRYPTO, "a text that should be base64 is not; it was cut or changed");
    }
    *data = (unsigned char *)decoded.data;
    *len = decoded.len;
    return 0;
}

char *hmac_sha256_base64(const char *key, const char *text)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)text, strlen(text), mac, &len) == NULL) {
        abort(); /* only for want of memory */
    }
    return base64_encode(mac, len);
}

char *sha256_hex(const void *data, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    if (EVP_Digest(data, len, digest, &digest_len, EVP_sha256(), NULL) != 1) {
        abort();
    }
    return hex(digest, digest_len);
}

int sha256_file(const char *path, char **digest_hex, struct error **err)
{
    _cleanup_fclose_ FILE *file = file_stream(path);
    if (file == NULL) {
        return error_errno(err, STATUS_FILE, errno, "opening %s to make its SHA-256", path);
    }
    _cleanup_md_ EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    unsigned char chunk[65536];
    size_t n = 0;
    while (good && (n = fread(chunk, 1, sizeof chunk, file)) > 0) {
        good = EVP_DigestUpdate(context, chunk, n) == 1;
    }
    if (ferror(file) != 0) {
        return error_errno(err, STATUS_FILE, errno, "reading %s to make its SHA-256", path);
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!good || EVP_DigestFinal_ex(context, digest, &len) != 1) {
        return error_new(err, STATUS_CRYPTO, "making the SHA-256 of %s: OpenSSL failed", path);
    }
    *digest_hex = hex(digest, len);
    return 0;
}

static int random_letters(char *to, size_t count, struct error **err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const unsigned char even = 256 / 36 * 36; /* past this a letter would be likelier than others */
    for (size_t i = 0; i < count;) {
        unsigned char byte = 0;
        if (RAND_bytes(&byte, 1) != 1) {
            return error_new(err, STATUS_CRYPTO, "making a bootstrap token: the random generator failed");
        }
        if (byte < even) {
            to[i++] = letters[byte % 36];
        }
    }
    return 0;
}

int random_base64(size_t count, char **text, struct error **err)
{
    unsigned char bytes[64];
    if (count > sizeof bytes || RAND_priv_bytes(bytes, (int)count) != 1) {
        return error_new(err, STATUS_CRYPTO, "making a key of %zu bytes: the random generator failed", count);
    }
    *text = base64_encode(bytes, count);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return 0;
}

int bootstrap_token_new(char **token, struct error **err)
{
    char text[TOKEN_ID + 1 + TOKEN_SECRET + 1] = "";
    if (random_letters(text, TOKEN_ID, err) < 0 || random_letters(text + TOKEN_ID + 1, TOKEN_SECRET, err) < 0) {
        return -1;
    }
    text[TOKEN_ID] = '.';
    *token = xstrdup(text);
    explicit_bzero(text, sizeof text);
    return 0;
}

bool bootstrap_token_valid(const char *token)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    return token != NULL && strspn(token, letters) == TOKEN_ID && token[TOKEN_ID] == '.' &&
           strspn(token + TOKEN_ID + 1, letters) == TOKEN_SECRET && token[TOKEN_ID + 1 + TOKEN_SECRET] == '\0';
}
