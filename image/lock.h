/* image.lock: the pins. {"artifacts": {"helm": {"url": ..., "sha256": ...}}, "images": {"pause": {"source": ...,
 * "digest": ...}}} */
#ifndef IMAGE_LOCK_H
#define IMAGE_LOCK_H

#include <jansson.h>

#include "lib/error.h"

/* An absent file is an empty lock; one that cannot be understood is STATUS_CONFIG with its line. */
int lock_load(const char *path, json_t **lock, struct error **err);
int lock_save(const char *path, const json_t *lock, struct error **err);

/* The pin of NAME when it was made for exactly this URL or SOURCE, else NULL. */
const char *lock_sha256(const json_t *lock, const char *name, const char *url);
const char *lock_digest(const json_t *lock, const char *name, const char *source);

void lock_set_sha256(json_t *lock, const char *name, const char *url, const char *sha256);
void lock_set_digest(json_t *lock, const char *name, const char *source, const char *digest);

#endif
