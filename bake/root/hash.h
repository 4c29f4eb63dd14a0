/* SHA-256 of what streams by. */
#ifndef BAKE_ROOT_HASH_H
#define BAKE_ROOT_HASH_H

#include <stddef.h>

#include "lib/core/util.h"

struct hash; /* a running SHA-256 */

struct hash *hash_new(void);
void hash_add(struct hash *hash, const void *data, size_t len);
/* The string and its end, so that "ab","c" and "a","bc" differ; NULL differs from "". */
void hash_string(struct hash *hash, const char *s);
void hash_strings(struct hash *hash, char *const *v);
/* Lower-case hex; the hash is of no use after it. The caller frees. */
char *hash_end(struct hash *hash);
void hash_free(struct hash *hash);
void hash_freep(struct hash **hash);

#endif
