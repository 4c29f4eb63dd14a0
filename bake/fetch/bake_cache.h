/* The bake's cache, which several bakes may use at once.
 *
 *   sha256    downloads, by their hash
 *   part      downloads under way, which the next bake resumes
 *   images    container images as tar archives
 *   base      base systems as tar archives
 *   unpack    archives of artifacts while they are unpacked
 *   lock      one for each root, image and base system */
#ifndef BAKE_FETCH_BAKE_CACHE_H
#define BAKE_FETCH_BAKE_CACHE_H

#include <stdbool.h>

#include "lib/core/error.h"

#define CACHE_BASES_KEPT 3

/* CACHE/KIND/NAME, whose directory is made if need be; the caller frees. STATUS_FILE. */
char *cache_path(const char *cache, const char *kind, const char *name, struct error **err);

/* Locks NAME as flock() does with OPERATION (LOCK_EX or LOCK_SH) and waits while another bake has it; closing *FD
 * unlocks. STATUS_FILE; STATUS_INTERRUPTED while it waits. */
int cache_lock(const char *cache, const char *name, int operation, int *fd, struct error **err);

/* cache_lock with LOCK_EX that does not wait: *FD is -1 when another bake has it. */
int cache_try_lock(const char *cache, const char *name, int *fd, struct error **err);

/* Removes what bakes that were killed left, and no running one uses. */
int cache_clean(const char *cache, struct error **err);

/* Marks a base system as used now, and removes all but the CACHE_BASES_KEPT used last. One that was used within a day
 * or is in use stays. Never fails: what cannot be removed is warned of. */
void cache_use_base(const char *cache, const char *archive);

#endif
