/* Stands for csi-provisioner v3.6 with Topology=true, in its parts. */
#ifndef LAB_IMAGES_CSI_PROVISIONER_H
#define LAB_IMAGES_CSI_PROVISIONER_H

#include <jansson.h>

#include "lib/core/util.h"

struct topology_wish {
    const char *driver;
    const char *claim;     /* its name, by which a StatefulSet's volumes are spread */
    const char *node;      /* where the scheduler put the pod; "": the volume is made at once */
    const json_t *allowed; /* the class's allowedTopologies; NULL: everywhere */
    bool strict;           /* --strict-topology: only the node's own */
    bool immediate;        /* --immediate-topology: without a node, where the driver is */
};

/* Adds to REQUEST where a volume may be and where it is wanted, as FIELD; nothing when it may be anywhere. False and
 * *WHY when that cannot be told yet. */
bool topology_put(struct buffer *request, unsigned field, const struct topology_wish *wish, char **why);
/* The node affinity of a volume that REPLY's volume is; NULL when it has no topology. A new reference. */
json_t *topology_affinity(const struct buffer *volume);

#endif
