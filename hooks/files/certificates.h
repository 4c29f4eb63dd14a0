/* The certificates of this host: those of Kubernetes on disk and those inside kubeconfig files. */
#ifndef HOOKS_FILES_CERTIFICATES_H
#define HOOKS_FILES_CERTIFICATES_H

#include "hooks/engine/role.h"
#include "lib/crypto/crypto.h"

struct certificate {
    char *path; /* without --root */
    struct cert_info info;
    char *problem; /* why it cannot be read; NULL when INFO is filled in */
};

struct certificates {
    struct certificate *list; /* by path */
    size_t n;
};

/* All that exist; none is not an error. */
void certificates_find(const struct run *run, struct certificates *certificates);
void certificates_free(struct certificates *certificates);

/* The one that ends first, or one that cannot be read before any; NULL when there are none. */
const struct certificate *certificates_first_to_end(const struct certificates *certificates);

#endif
