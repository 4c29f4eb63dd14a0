/* This host's node object for the checks of one run: the first that needs it fetches it, with one TLS handshake for
 * all, and the others wait for that. */
#ifndef HOOKS_CHECKS_OWN_NODE_H
#define HOOKS_CHECKS_OWN_NODE_H

#include "hooks/checks/checks.h"

struct own_node *own_node_new(void);
/* Each holder's own reference: a check that hangs may be the last to let go. */
struct own_node *own_node_ref(struct own_node *node);
void own_node_unref(struct own_node *node);

/* The node object, read with the node's own certificate; a new reference. Fails as kube_get does, and again for the
 * next that needs it. CONTEXT without own_node: fetched for this call alone. */
int own_node_get(const struct check_context *context, json_t **object, struct error **err);

#endif
