/* What hostnic makes in the user's account and never deletes: network cards named hostnic_INSTANCE, and for each pod
 * vxnet the reserved addresses (VIPs) and a firewall rule named hostnic_VXNET (hostnic-cni v1.0, pkg/qcclient). */
#ifndef APP_CLOUD_CLOUD_HOSTNIC_H
#define APP_CLOUD_CLOUD_HOSTNIC_H

#include "app/cloud/cloud.h"

/* Detaches and deletes the network cards in the cluster's pod vxnets that hostnic made for one of INSTANCES
 * (NULL-terminated): those that carry that instance's name and are attached to it or to nothing. *COUNT (may be NULL):
 * how many. One call finds them, in vxnets of the cluster; two more where there are any, and those that wait until they
 * are detached. Errors of cloud_call. */
int cloud_release_nics(struct cloud *cloud, const struct facts *facts, char *const *instances, struct deadline deadline,
                       size_t *count, struct error **err);

/* Releases the VIPs of the cluster's pod vxnets and deletes their firewall rules, once the cluster has no pods. A vxnet
 * where another instance has cards of hostnic is used by another cluster and left as it is, with a warning. *COUNT (may
 * be NULL): of VIPs. Errors of cloud_call. */
int cloud_release_vxnets(struct cloud *cloud, const struct facts *facts, struct deadline deadline, size_t *count,
                         struct error **err);

#endif
