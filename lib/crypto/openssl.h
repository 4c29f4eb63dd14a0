/* Clean-up attributes of OpenSSL's objects, for lib/crypto alone. */
#ifndef LIB_CRYPTO_OPENSSL_H
#define LIB_CRYPTO_OPENSSL_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509v3.h>

#include "lib/core/util.h"

/* NOLINTBEGIN(bugprone-macro-parentheses): a type takes none */
#define OPENSSL_FREEP(type, name, release)                                                                             \
    static inline void name(type **p)                                                                                  \
    {                                                                                                                  \
        release(*p);                                                                                                   \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
OPENSSL_FREEP(BIO, openssl_biop, BIO_free_all)
OPENSSL_FREEP(BIGNUM, openssl_bnp, BN_clear_free)
OPENSSL_FREEP(BN_CTX, openssl_bn_ctxp, BN_CTX_free)
OPENSSL_FREEP(EVP_CIPHER_CTX, openssl_cipherp, EVP_CIPHER_CTX_free)
OPENSSL_FREEP(EVP_MD_CTX, openssl_mdp, EVP_MD_CTX_free)
OPENSSL_FREEP(EVP_PKEY, openssl_pkeyp, EVP_PKEY_free)
OPENSSL_FREEP(EVP_PKEY_CTX, openssl_pkey_ctxp, EVP_PKEY_CTX_free)
OPENSSL_FREEP(GENERAL_NAMES, openssl_namesp, GENERAL_NAMES_free)
OPENSSL_FREEP(OSSL_PARAM, openssl_paramsp, OSSL_PARAM_free)
OPENSSL_FREEP(OSSL_PARAM_BLD, openssl_builderp, OSSL_PARAM_BLD_free)
OPENSSL_FREEP(X509, openssl_x509p, X509_free)
#undef OPENSSL_FREEP

#define _cleanup_bio_ _cleanup_(openssl_biop)
#define _cleanup_bn_ _cleanup_(openssl_bnp)
#define _cleanup_bn_ctx_ _cleanup_(openssl_bn_ctxp)
#define _cleanup_cipher_ _cleanup_(openssl_cipherp)
#define _cleanup_md_ _cleanup_(openssl_mdp)
#define _cleanup_pkey_ _cleanup_(openssl_pkeyp)
#define _cleanup_pkey_ctx_ _cleanup_(openssl_pkey_ctxp)
#define _cleanup_general_names_ _cleanup_(openssl_namesp)
#define _cleanup_params_ _cleanup_(openssl_paramsp)
#define _cleanup_builder_ _cleanup_(openssl_builderp)
#define _cleanup_x509_ _cleanup_(openssl_x509p)

#endif
