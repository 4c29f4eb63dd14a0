/* Whether the cloud's API does what the cluster needs of it: calls that cost quota, so never in a periodic check. */
#ifndef APP_CLOUD_CLOUD_CHECK_H
#define APP_CLOUD_CLOUD_CHECK_H

#include "app/cloud/cloud.h"

/* The key is accepted, and this host is one of its user's machines: STATUS_CLOUD_KEY, _QUOTA, _UNREACHABLE with the
 * user guide's advice. One call. *CLASSES (may be NULL) gets the instance class of each role's hosts, a new object of
 * role and number: one role has one class, so the first host of each is queried along. */
int cloud_check_key(struct cloud *cloud, const struct facts *facts, struct deadline deadline, json_t **classes,
                    struct error **err);

/* The pod vxnets exist (STATUS_VXNET_ABSENT), are in the cluster's VPC (STATUS_VXNET_VPC), apart from the networks of
 * services and containers (STATUS_PARAMETER), and have room for the pods of all nodes (STATUS_VXNET_ADDRESSES). One
 * call for a hundred of them. */
int cloud_check_vxnets(struct cloud *cloud, const struct facts *facts, struct deadline deadline, struct error **err);

#endif
