#include "lib/crypto/ssh_key.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "lib/core/util.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/openssl.h"

enum { MINIMUM_BITS = 2048, MAXIMUM_BITS = 16384 };

static const char begin_openssh[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
static const char end_openssh[] = "-----END OPENSSH PRIVATE KEY-----";

/* SSH's wire form (RFC 4251, section 5): what is left to read. A read past the end leaves it empty and bad. */
struct wire {
    const unsigned char *at;
    size_t left;
    bool bad;
};

static const unsigned char *wire_bytes(struct wire *wire, size_t len)
{
    if (wire->bad || wire->left < len) {
        wire->bad = true;
        return NULL;
    }
    const unsigned char *bytes = wire->at;
    wire->at += len;
    wire->left -= len;
    return bytes;
}

static uint32_t wire_number(struct wire *wire)
{
    const unsigned char *b = wire_bytes(wire, 4);
    return b == NULL ? 0 : (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static struct wire wire_string(struct wire *wire)
{
    uint32_t len = wire_number(wire);
    const unsigned char *bytes = wire_bytes(wire, len);
    return (struct wire){.at = bytes, .left = bytes == NULL ? 0 : len, .bad = bytes == NULL};
}

static bool wire_is(struct wire string, const char *text)
{
    return !string.bad && string.left == strlen(text) && memcmp(string.at, text, string.left) == 0;
}

/* A positive multiple-precision number; NULL for others. */
static BIGNUM *wire_integer(struct wire *wire)
{
    struct wire string = wire_string(wire);
    if (string.bad || string.left == 0 || (string.at[0] & 0x80) != 0 || string.left > MAXIMUM_BITS / 8 + 1) {
        wire->bad = true;
        return NULL;
    }
    return BN_bin2bn(string.at, (int)string.left, NULL);
}

struct rsa {
    BIGNUM *n, *e;                          /* always */
    BIGNUM *d, *p, *q, *dmp1, *dmq1, *iqmp; /* private keys */
};

static void rsa_free(struct rsa *rsa)
{
    BIGNUM **all[] = {&rsa->n, &rsa->e, &rsa->d, &rsa->p, &rsa->q, &rsa->dmp1, &rsa->dmq1, &rsa->iqmp};
    for (size_t i = 0; i < ELEMENTS(all); i++) {
        openssl_bnp(all[i]);
    }
}

static bool push(OSSL_PARAM_BLD *builder, const char *name, const BIGNUM *number)
{
    return number == NULL || OSSL_PARAM_BLD_push_BN(builder, name, number) == 1;
}

static int make_key(const struct rsa *rsa, EVP_PKEY **key, struct error **err)
{
    _cleanup_builder_ OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    bool good = builder != NULL && push(builder, OSSL_PKEY_PARAM_RSA_N, rsa->n) &&
                push(builder, OSSL_PKEY_PARAM_RSA_E, rsa->e) && push(builder, OSSL_PKEY_PARAM_RSA_D, rsa->d) &&
                push(builder, OSSL_PKEY_PARAM_RSA_FACTOR1, rsa->p) &&
                push(builder, OSSL_PKEY_PARAM_RSA_FACTOR2, rsa->q) &&
                push(builder, OSSL_PKEY_PARAM_RSA_EXPONENT1, rsa->dmp1) &&
                push(builder, OSSL_PKEY_PARAM_RSA_EXPONENT2, rsa->dmq1) &&
                push(builder, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, rsa->iqmp);
    _cleanup_params_ OSSL_PARAM *params = good ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    _cleanup_pkey_ctx_ EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    int selection = rsa->d == NULL ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR;
    if (params == NULL || context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, key, selection, params) != 1) {
        return error_new(err, STATUS_CRYPTO, "the numbers in it do not form an RSA key");
    }
    return 0;
}

static int check_size(const EVP_PKEY *key, struct error **err)
{
    int bits = EVP_PKEY_get_bits(key);
    if (bits >= MINIMUM_BITS && bits <= MAXIMUM_BITS) {
        return 0;
    }
    return error_new(err, STATUS_CRYPTO, "an RSA key of %d bits; at least %d are needed", bits, MINIMUM_BITS);
}

static void put_string(struct buffer *wire, const void *data, size_t len)
{
    const unsigned char size[] = {(unsigned char)(len >> 24), (unsigned char)(len >> 16), (unsigned char)(len >> 8),
                                  (unsigned char)len};
    buffer_append(wire, size, sizeof size);
    buffer_append(wire, data, len);
}

static void put_integer(struct buffer *wire, const BIGNUM *number)
{
    size_t len = (size_t)BN_num_bytes(number);
    unsigned char *bytes = xcalloc(len + 1, 1);
    (void)BN_bn2bin(number, bytes + 1);
    bool sign = len > 0 && (bytes[1] & 0x80) != 0;
    put_string(wire, sign ? bytes : bytes + 1, sign ? len + 1 : len);
    free(bytes);
}

/* The SHA-256 of the key's public half as it stands in an OpenSSH line (RFC 4253, section 6.6). */
static int fingerprint_of(const EVP_PKEY *key, unsigned char fingerprint[SSH_FINGERPRINT], struct error **err)
{
    _cleanup_bn_ BIGNUM *n = NULL;
    _cleanup_bn_ BIGNUM *e = NULL;
    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) != 1 ||
        EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1) {
        return error_new(err, STATUS_CRYPTO, "it is not an RSA key");
    }
    _cleanup_buffer_ struct buffer wire = {0};
    put_string(&wire, "ssh-rsa", 7);
    put_integer(&wire, e);
    put_integer(&wire, n);
    if (EVP_Digest(wire.data, wire.len, fingerprint, NULL, EVP_sha256(), NULL) != 1) {
        return error_new(err, STATUS_CRYPTO, "making its fingerprint: OpenSSL failed");
    }
    return 0;
}

/* Takes KEY, whatever the outcome. */
static int finish(EVP_PKEY *key, EVP_PKEY **result, unsigned char fingerprint[SSH_FINGERPRINT], struct error **err)
{
    unsigned char digest[SSH_FINGERPRINT];
    _cleanup_pkey_ EVP_PKEY *owned = key;
    if (check_size(key, err) < 0 || fingerprint_of(key, digest, err) < 0) {
        return -1;
    }
    memcpy(fingerprint, digest, sizeof digest);
    *result = STEAL(owned);
    return 0;
}

int ssh_public_key(const char *line, EVP_PKEY **key, unsigned char fingerprint[SSH_FINGERPRINT], struct error **err)
{
    _cleanup_strv_ char **words = strv_split(line);
    if (strv_length(words) < 2 || strcmp(words[0], "ssh-rsa") != 0) {
        return error_new(err, STATUS_CRYPTO, "the public key is not of the form \"ssh-rsa AAAA...\"");
    }
    _cleanup_free_ unsigned char *blob = NULL;
    size_t len = 0;
    if (base64_decode(words[1], &blob, &len, err) < 0) {
        return error_wrap(err, "the public key");
    }
    struct wire wire = {.at = blob, .left = len};
    _cleanup_(rsa_free) struct rsa rsa = {0};
    bool named = wire_is(wire_string(&wire), "ssh-rsa");
    rsa.e = wire_integer(&wire);
    rsa.n = wire_integer(&wire);
    EVP_PKEY *made = NULL;
    if (!named || wire.bad || wire.left != 0) {
        return error_new(err, STATUS_CRYPTO, "the public key was cut or changed");
    }
    if (make_key(&rsa, &made, err) < 0 || finish(made, key, fingerprint, err) < 0) {
        return error_wrap(err, "the public key");
    }
    return 0;
}

int ssh_public_line(const char *line, char **clean, struct error **err)
{
    static const char kind[] = "ssh-rsa ";
    size_t blank = strlen(line);
    while (blank > 0 && strchr(" \t\r\n", line[blank - 1]) != NULL) {
        blank--;
    }
    _cleanup_free_ char *text = xstrndup(line, blank);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c < 0x20 || *c == 0x7f) {
            return error_new(err, STATUS_CRYPTO, "the public key is not one line of text");
        }
    }
    if (!str_starts(text, kind)) {
        return error_new(err, STATUS_CRYPTO, "the public key does not begin with \"ssh-rsa\"");
    }
    char *base64 = text + strlen(kind);
    char *comment = base64 + strcspn(base64, " ");
    if (*comment != '\0') {
        *comment++ = '\0';
        comment += strspn(comment, " ");
    }
    _cleanup_free_ unsigned char *blob = NULL;
    size_t len = 0;
    if (base64_decode(base64, &blob, &len, err) < 0) {
        return error_wrap(err, "the public key");
    }
    struct wire wire = {.at = blob, .left = len};
    bool named = wire_is(wire_string(&wire), "ssh-rsa");
    (void)wire_string(&wire);
    (void)wire_string(&wire);
    if (!named || wire.bad || wire.left != 0) {
        return error_new(err, STATUS_CRYPTO, "the public key was cut or changed");
    }
    _cleanup_free_ char *again = base64_encode(blob, len);
    *clean = xasprintf("%s%s%s%s", kind, again, *comment != '\0' ? " " : "", comment);
    return 0;
}

/* d modulo each prime less one: OpenSSH leaves them out of the file. */
static bool add_exponents(struct rsa *rsa)
{
    _cleanup_bn_ctx_ BN_CTX *context = BN_CTX_secure_new();
    _cleanup_bn_ BIGNUM *less = BN_secure_new();
    rsa->dmp1 = BN_secure_new();
    rsa->dmq1 = BN_secure_new();
    if (context == NULL || less == NULL || rsa->dmp1 == NULL || rsa->dmq1 == NULL) {
        return false;
    }
    BN_set_flags(rsa->d, BN_FLG_CONSTTIME);
    return BN_sub(less, rsa->p, BN_value_one()) == 1 && BN_mod(rsa->dmp1, rsa->d, less, context) == 1 &&
           BN_sub(less, rsa->q, BN_value_one()) == 1 && BN_mod(rsa->dmq1, rsa->d, less, context) == 1;
}

static int parse_private(struct wire secret, EVP_PKEY **key, struct error **err)
{
    _cleanup_(rsa_free) struct rsa rsa = {0};
    /* The same random number twice: reveals a wrong passphrase in keys that have one. */
    uint32_t check = wire_number(&secret);
    bool good = check == wire_number(&secret) && wire_is(wire_string(&secret), "ssh-rsa");
    if (!good || secret.bad) {
        return error_new(err, STATUS_CRYPTO, "it holds no RSA key");
    }
    BIGNUM **order[] = {&rsa.n, &rsa.e, &rsa.d, &rsa.iqmp, &rsa.p, &rsa.q};
    for (size_t i = 0; i < ELEMENTS(order); i++) {
        *order[i] = wire_integer(&secret);
    }
    if (secret.bad || !add_exponents(&rsa)) {
        return error_new(err, STATUS_CRYPTO, "it was cut or changed");
    }
    return make_key(&rsa, key, err);
}

static int parse_openssh(const unsigned char *blob, size_t len, EVP_PKEY **key, struct error **err)
{
    static const char magic[] = "openssh-key-v1"; /* with its NUL */
    struct wire wire = {.at = blob, .left = len};
    const unsigned char *start = wire_bytes(&wire, sizeof magic);
    if (start == NULL || memcmp(start, magic, sizeof magic) != 0) {
        return error_new(err, STATUS_CRYPTO, "it is not of the form openssh-key-v1");
    }
    struct wire cipher = wire_string(&wire);
    struct wire kdf = wire_string(&wire);
    (void)wire_string(&wire);
    uint32_t count = wire_number(&wire);
    if (!wire.bad && (!wire_is(cipher, "none") || !wire_is(kdf, "none"))) {
        return error_new(err, STATUS_CRYPTO, "it has a passphrase; remove it with ssh-keygen -p");
    }
    (void)wire_string(&wire);
    struct wire secret = wire_string(&wire);
    if (wire.bad || count != 1) {
        return error_new(err, STATUS_CRYPTO, "it was cut or changed");
    }
    return parse_private(secret, key, err);
}

static int read_openssh(const char *begin, EVP_PKEY **key, struct error **err)
{
    begin += strlen(begin_openssh);
    const char *end = strstr(begin, end_openssh);
    if (end == NULL) {
        return error_new(err, STATUS_CRYPTO, "the line \"%s\" is missing", end_openssh);
    }
    _cleanup_secret_ char *base64 = xstrndup(begin, (size_t)(end - begin));
    unsigned char *blob = NULL;
    size_t len = 0;
    if (base64_decode(base64, &blob, &len, err) < 0) {
        return -1;
    }
    int r = parse_openssh(blob, len, key, err);
    explicit_bzero(blob, len);
    free(blob);
    return r;
}

/* Instead of OpenSSL's own, which prompts on the terminal. */
static int no_passphrase(char *to, int size, int writing, void *data)
{
    (void)writing;
    (void)data;
    if (size > 0) {
        to[0] = '\0';
    }
    return -1;
}

static int read_pem(const char *text, size_t len, EVP_PKEY **key, struct error **err)
{
    _cleanup_bio_ BIO *bio = BIO_new_mem_buf(text, (int)len);
    *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (*key == NULL) {
        return error_new(err, STATUS_CRYPTO, "no private key without a passphrase in it, in PEM or OpenSSH form");
    }
    return 0;
}

int ssh_private_key(const char *text, size_t len, EVP_PKEY **key, unsigned char fingerprint[SSH_FINGERPRINT],
                    struct error **err)
{
    _cleanup_secret_ char *copy = xstrndup(text, len);
    const char *begin = strstr(copy, begin_openssh);
    EVP_PKEY *made = NULL;
    int r = begin == NULL ? read_pem(copy, strlen(copy), &made, err) : read_openssh(begin, &made, err);
    return r < 0 ? -1 : finish(made, key, fingerprint, err);
}
