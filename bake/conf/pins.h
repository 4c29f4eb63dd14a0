/* image.lock: the pins, {"artifacts": {URL: SHA-256}, "images": {SOURCE: DIGEST}}. One file serves several
 * configurations: a pin belongs to what it was made of, whoever requests that, and another version has none. */
#ifndef BAKE_CONF_PINS_H
#define BAKE_CONF_PINS_H

#include <jansson.h>

#include "lib/core/error.h"

/* An absent file is an empty lock; one that cannot be understood is STATUS_CONFIG with its line. */
int lock_load(const char *path, json_t **lock, struct error **err);
/* The same from LEN bytes at TEXT, which NAME stands for in messages. */
int lock_parse(const char *name, const char *text, size_t len, json_t **lock, struct error **err);
int lock_save(const char *path, const json_t *lock, struct error **err);

/* NULL when there is none. Borrowed. */
const char *lock_sha256(const json_t *lock, const char *url);
const char *lock_digest(const json_t *lock, const char *source);

void lock_set_sha256(json_t *lock, const char *url, const char *sha256);
void lock_set_digest(json_t *lock, const char *source, const char *digest);

#endif
