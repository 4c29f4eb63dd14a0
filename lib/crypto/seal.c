#include "lib/crypto/seal.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "lib/core/util.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/openssl.h"
#include "lib/crypto/ssh_key.h"
#include "lib/system/file.h"

/* The sealed form before base64:
 *   magic and version | fingerprint of the public key | length of the wrapped key, 2 bytes, big end first
 *   | wrapped key | nonce | ciphertext | tag
 * All before the nonce is authenticated with the text. */
static const char magic[8] = "k8sseal\x01";

enum { KEY = 32, NONCE = 12, TAG = 16, HEADER = sizeof magic + SSH_FINGERPRINT + 2, MAX_TEXT = 1 << 20 };

static bool use_oaep(EVP_PKEY_CTX *context)
{
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1;
}

static bool wrap(EVP_PKEY *rsa, const unsigned char key[KEY], struct buffer *to)
{
    _cleanup_pkey_ctx_ EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(rsa, NULL);
    size_t len = (size_t)EVP_PKEY_get_size(rsa);
    _cleanup_free_ unsigned char *wrapped = xcalloc(len, 1);
    if (context == NULL || EVP_PKEY_encrypt_init(context) != 1 || !use_oaep(context) ||
        EVP_PKEY_encrypt(context, wrapped, &len, key, KEY) != 1) {
        return false;
    }
    buffer_append(to, wrapped, len);
    return true;
}

static bool unwrap(EVP_PKEY *rsa, const unsigned char *wrapped, size_t wrapped_len, unsigned char key[KEY])
{
    _cleanup_pkey_ctx_ EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(rsa, NULL);
    size_t len = (size_t)EVP_PKEY_get_size(rsa);
    unsigned char *plain = xcalloc(len, 1);
    bool good = context != NULL && EVP_PKEY_decrypt_init(context) == 1 && use_oaep(context) &&
                EVP_PKEY_decrypt(context, plain, &len, wrapped, wrapped_len) == 1 && len == KEY;
    if (good) {
        memcpy(key, plain, KEY);
    }
    explicit_bzero(plain, (size_t)EVP_PKEY_get_size(rsa));
    free(plain);
    return good;
}

/* Appends nonce, ciphertext and tag to TO, what TO holds so far being authenticated with it. */
static bool encrypt(const unsigned char key[KEY], const char *text, size_t text_len, struct buffer *to)
{
    _cleanup_cipher_ EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    _cleanup_free_ unsigned char *sealed = xcalloc(text_len + TAG, 1);
    unsigned char nonce[NONCE];
    int len = 0;
    int rest = 0;
    if (context == NULL || RAND_bytes(nonce, NONCE) != 1 ||
        EVP_EncryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, NULL) != 1 ||
        EVP_EncryptUpdate(context, NULL, &len, (const unsigned char *)to->data, (int)to->len) != 1 ||
        EVP_EncryptUpdate(context, sealed, &len, (const unsigned char *)text, (int)text_len) != 1 ||
        EVP_EncryptFinal_ex(context, sealed + len, &rest) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG, sealed + text_len) != 1) {
        return false;
    }
    buffer_append(to, nonce, NONCE);
    buffer_append(to, sealed, text_len + TAG);
    return true;
}

/* The text after HEADER_LEN bytes of SEALED, which are authenticated with it; NULL when anything was changed. */
static char *decrypt(const unsigned char key[KEY], unsigned char *sealed, size_t len, size_t header_len,
                     size_t *text_len)
{
    const unsigned char *nonce = sealed + header_len;
    const unsigned char *body = nonce + NONCE;
    size_t body_len = len - header_len - NONCE - TAG;
    _cleanup_cipher_ EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    char *text = xcalloc(body_len + 1, 1);
    int n = 0;
    int rest = 0;
    if (context == NULL || EVP_DecryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, NULL) != 1 ||
        EVP_DecryptUpdate(context, NULL, &n, sealed, (int)header_len) != 1 ||
        EVP_DecryptUpdate(context, (unsigned char *)text, &n, body, (int)body_len) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG, sealed + len - TAG) != 1 ||
        EVP_DecryptFinal_ex(context, (unsigned char *)text + n, &rest) != 1) {
        explicit_bzero(text, body_len);
        free(text);
        return NULL;
    }
    *text_len = body_len;
    return text;
}

int seal(const char *pub_key, const char *text, size_t len, char **sealed, struct error **err)
{
    _cleanup_pkey_ EVP_PKEY *rsa = NULL;
    unsigned char fingerprint[SSH_FINGERPRINT];
    if (len > MAX_TEXT) {
        return error_new(err, STATUS_CRYPTO, "sealing: a text of %zu bytes; %d are accepted", len, MAX_TEXT);
    }
    if (ssh_public_key(pub_key, &rsa, fingerprint, err) < 0) {
        return error_wrap(err, "sealing");
    }
    _cleanup_buffer_ struct buffer out = {0};
    size_t wrapped_len = (size_t)EVP_PKEY_get_size(rsa);
    const unsigned char size[] = {(unsigned char)(wrapped_len >> 8), (unsigned char)wrapped_len};
    buffer_append(&out, magic, sizeof magic);
    buffer_append(&out, fingerprint, SSH_FINGERPRINT);
    buffer_append(&out, size, sizeof size);
    unsigned char key[KEY];
    bool good = RAND_priv_bytes(key, KEY) == 1 && wrap(rsa, key, &out) && encrypt(key, text, len, &out);
    explicit_bzero(key, KEY);
    if (!good) {
        return error_new(err, STATUS_CRYPTO, "sealing: OpenSSL failed");
    }
    *sealed = base64_encode(out.data, out.len);
    return 0;
}

static int open_sealed(EVP_PKEY *rsa, const unsigned char fingerprint[SSH_FINGERPRINT], unsigned char *sealed,
                       size_t len, char **text, size_t *text_len, struct error **err)
{
    if (len < HEADER || memcmp(sealed, magic, sizeof magic) != 0) {
        return error_new(err, STATUS_CRYPTO, "it is not a sealed text of a version known here");
    }
    if (memcmp(sealed + sizeof magic, fingerprint, SSH_FINGERPRINT) != 0) {
        return error_new(err, STATUS_CRYPTO, "it was sealed for another key");
    }
    size_t wrapped_len = (size_t)sealed[HEADER - 2] << 8 | sealed[HEADER - 1];
    unsigned char key[KEY];
    *text = NULL;
    if (len >= HEADER + wrapped_len + NONCE + TAG && unwrap(rsa, sealed + HEADER, wrapped_len, key)) {
        *text = decrypt(key, sealed, len, HEADER + wrapped_len, text_len);
        explicit_bzero(key, KEY);
    }
    return *text != NULL ? 0 : error_new(err, STATUS_CRYPTO, "it was cut or changed");
}

int unseal(const char *key_path, const char *sealed, char **text, size_t *len, struct error **err)
{
    _cleanup_secret_ char *file = NULL;
    size_t file_len = 0;
    _cleanup_pkey_ EVP_PKEY *rsa = NULL;
    unsigned char fingerprint[SSH_FINGERPRINT];
    if (file_read(key_path, 1 << 20, &file, &file_len, err) < 0 ||
        ssh_private_key(file, file_len, &rsa, fingerprint, err) < 0) {
        return error_wrap(err, "the private key %s", key_path);
    }
    _cleanup_free_ unsigned char *data = NULL;
    size_t data_len = 0;
    if (base64_decode(sealed, &data, &data_len, err) < 0 ||
        open_sealed(rsa, fingerprint, data, data_len, text, len, err) < 0) {
        return error_wrap(err, "opening a sealed text with %s", key_path);
    }
    return 0;
}

int ssh_fingerprint(const char *pub_key, char **fingerprint, struct error **err)
{
    _cleanup_pkey_ EVP_PKEY *rsa = NULL;
    unsigned char digest[SSH_FINGERPRINT];
    if (ssh_public_key(pub_key, &rsa, digest, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *base64 = base64_encode(digest, SSH_FINGERPRINT);
    /* ssh-keygen prints it without the padding. */
    base64[strcspn(base64, "=")] = '\0';
    *fingerprint = xasprintf("SHA256:%s", base64);
    return 0;
}
