/* What labs make once and keep: it is given back when it has not been used for some builds. */
#ifndef LAB_CACHE_H
#define LAB_CACHE_H

#include "lib/core/error.h"

/* Notes that PATH of the cache was used now. */
void cache_use(const char *path);

/* Removes the images (image-*, used when image-*.complete says) and the container images (images-*) in CACHE, but the
 * three of each that were used last and those that the state of a lab names: LABS is a glob(7) pattern of the labs'
 * lab.json. Under the cache's lock. */
int cache_prune(const char *cache, const char *labs, struct error **err);

#endif
