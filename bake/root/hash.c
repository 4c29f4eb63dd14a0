#include "bake/root/hash.h"

#include <string.h>

#include <openssl/evp.h>

struct hash {
    EVP_MD_CTX *ctx;
};

struct hash *hash_new(void)
{
    struct hash *hash = xcalloc(1, sizeof *hash);
    hash->ctx = EVP_MD_CTX_new();
    if (hash->ctx == NULL || EVP_DigestInit_ex(hash->ctx, EVP_sha256(), NULL) != 1) {
        abort(); /* no memory, as xcalloc */
    }
    return hash;
}

void hash_add(struct hash *hash, const void *data, size_t len)
{
    (void)EVP_DigestUpdate(hash->ctx, data, len);
}

void hash_string(struct hash *hash, const char *s)
{
    if (s == NULL) {
        hash_add(hash, "\1", 2);
    } else {
        hash_add(hash, s, strlen(s) + 1);
    }
}

void hash_strings(struct hash *hash, char *const *v)
{
    for (; v != NULL && *v != NULL; v++) {
        hash_string(hash, *v);
    }
    hash_string(hash, NULL);
}

char *hash_end(struct hash *hash)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    (void)EVP_DigestFinal_ex(hash->ctx, digest, &len);
    char *hex = xcalloc(2 * (size_t)len + 1, 1);
    for (unsigned i = 0; i < len; i++) {
        (void)snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    }
    return hex;
}

void hash_free(struct hash *hash)
{
    if (hash != NULL) {
        EVP_MD_CTX_free(hash->ctx);
        free(hash);
    }
}

void hash_freep(struct hash **hash)
{
    hash_free(*hash);
}
