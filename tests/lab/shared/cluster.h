/* The whole clusters of tests/golden: documents without /host, from which the metadata of each host is made. */
#ifndef TESTS_LAB_SHARED_CLUSTER_H
#define TESTS_LAB_SHARED_CLUSTER_H

#include <jansson.h>

#include "lib/core/error.h"

/* NAME is a cluster of tests/golden/clusters (seen from the repository's top), or the path of a document. A new
 * reference, generated hosts put in; NULL with *err set. */
json_t *cluster_load(const char *name, struct error **err);

/* Adds hosts of ROLE with sid 1 to COUNT. */
void cluster_generate(json_t *cluster, const char *role, int count);

/* What the host of ROLE with SID sees under /self: the document and /host. A new reference that shares the document's
 * values; NULL when there is no such host. */
json_t *cluster_view(const json_t *cluster, const char *role, int sid);

#endif
