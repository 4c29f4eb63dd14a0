/* What image/image.conf names and cannot be fetched here: its container images are made on this machine, its manifests
 * are taken from a directory of releases. */
#ifndef LAB_RELEASE_H
#define LAB_RELEASE_H

#include "tests/lab/lab/lab.h"

struct release_image {
    char *name, *reference;
};

struct release {
    struct release_image *images;
    size_t n_images;
    char **manifests; /* sections of image.conf that take each from its file; NULL: none */
    bool whole;       /* every manifest but istio's is there */
};

/* The directory of releases: $UPSTREAM, or shared/upstream beside the checkout; NULL where there is none. The caller
 * frees. */
char *release_directory(const struct lab *lab);

/* Reads image/image.conf for Kubernetes VERSION. */
int release_read(const struct lab *lab, const char *version, struct release *release, struct error **err);
void release_free(struct release *release);

#endif
