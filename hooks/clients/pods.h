/* The pods of a node, as draining sees them. */
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

const char *pod_namespace(const json_t *pod);
const char *pod_name(const json_t *pod);

#endif
