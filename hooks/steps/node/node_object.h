/* The kubelet and its node. */
#ifndef HOOKS_STEPS_NODE_NODE_OBJECT_H
#define HOOKS_STEPS_NODE_NODE_OBJECT_H

#include "hooks/engine/role.h"

/* Waits until the kubelet's /healthz answers ok: systemd counts it as started long before. */
int kubelet_wait(struct run *run, struct error **err);
/* Queries it once. STATUS_UNIT. */
int kubelet_query(struct run *run, struct deadline deadline, struct error **err);

#endif
