/* The pods of a node, as draining sees them, and the addresses that hostnic has for more. */
#ifndef HOOKS_CLIENTS_PODS_H
#define HOOKS_CLIENTS_PODS_H

#include "hooks/engine/role.h"

/* The pods bound to NODE that have not terminated: a new reference to an array of pod objects. */
int pods_on_node(struct run *run, const char *node, struct deadline deadline, json_t **pods, struct error **err);

/* False for what drain leaves where it is: pods of a DaemonSet, and static pods. */
bool pod_moves(const json_t *pod);

/* "NAMESPACE/NAME NAMESPACE/NAME ..." of those in PODS that drain would move and that are not being deleted already;
 * NULL when there are none. The caller frees. */
char *pods_that_move(const json_t *pods);

/* With hostnic: the addresses of the pod vxnets that no pod has, and all that pods can have there, as its controller
 * counts them in the IPPools named after the vxnets. *ALL is 0 where there is none yet. */
int pod_addresses_left(struct kube *kube, const struct facts *facts, struct deadline deadline, int64_t *left,
                       int64_t *all, struct error **err);

/* With hostnic: a pod that waits because it was refused an address, most often since the cloud refused its node a
 * network card: "NAMESPACE/NAME on NODE: WHY" as the kubelet's event has it, without the API key. *REFUSAL, which the
 * caller frees, is NULL where there is none. */
int pod_address_refusal(struct kube *kube, const struct facts *facts, struct deadline deadline, char **refusal,
                        struct error **err);

/* Whether the condition TYPE ("Ready") of POD is STATUS ("True"); false for a pod that is being deleted. */
bool pod_has_condition(const json_t *pod, const char *type, const char *status);

const char *pod_namespace(const json_t *pod);
const char *pod_name(const json_t *pod);

#endif
