/* Container images from a registry, by skopeo, pinned by the digest of their manifest. */
#ifndef BAKE_FETCH_REGISTRY_H
#define BAKE_FETCH_REGISTRY_H

#include "bake/bake.h"

/* The archive of IMAGE with exactly the digest in GOT, from the cache or the registry. */
int registry_get(const struct options *options, const char *mirror, const struct container_image *image,
                 struct source *got, struct error **err);

/* The digest the registry has now. The caller frees. */
int registry_digest(const char *mirror, const struct container_image *image, char **digest, struct error **err);

#endif
