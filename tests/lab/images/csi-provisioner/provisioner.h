/* Stands for csi-provisioner v1.4 with Topology=true, in its parts. */
#ifndef LAB_IMAGES_CSI_PROVISIONER_H
#define LAB_IMAGES_CSI_PROVISIONER_H

#include <jansson.h>

#include "lib/core/util.h"

/* Adds to REQUEST where a volume may be: everywhere where DRIVER is, by preference on NODE ("": anywhere). False and
 * *WHY when that cannot be told yet. */
bool topology_put(struct buffer *request, unsigned field, const char *driver, const char *node, char **why);
/* The node affinity of a volume that REPLY's volume is; NULL when it has no topology. A new reference. */
json_t *topology_affinity(const struct buffer *volume);

#endif
