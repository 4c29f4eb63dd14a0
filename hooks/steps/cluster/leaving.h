/* Parts of scale-in on the master: who leaves, how a node is emptied, where its logs go. */
#ifndef HOOKS_STEPS_CLUSTER_LEAVING_H
#define HOOKS_STEPS_CLUSTER_LEAVING_H

#include <time.h>

#include "hooks/engine/role.h"

/* `kubectl annotate node NAME k8s-hooks/discard=true`: the user gives up what only this node has. AppCenter's own
 * "force" overrides `destroy` alone and is not passed to scale-in. */
#define DISCARD_ANNOTATION "k8s-hooks/discard"

/* Whether HOST is being deleted and was a node of the cluster. */
bool host_leaves(const struct host *host);

/* GET of a node object. *node is NULL, and the result 0, where there is none. */
int leaving_node(struct run *run, const char *name, json_t **node, struct error **err);

bool node_discarded(const json_t *node);

/* Whether the kubelet of NODE (an object of the API) counts as gone at NOW: Ready is Unknown for a minute, or False for
 * the five minutes after which Kubernetes itself would evict its pods (tolerationSeconds of the default toleration). */
bool node_dead(const json_t *node, time_t now);

/* Drains a cordoned node. One whose kubelet is gone is not waited for: its pods are deleted at once, and so are the
 * attachments of their volumes, which the CSI driver then detaches; the log says so. STATUS_SCALE_IN_BUDGET,
 * STATUS_SCALE_IN_DRAIN; STATUS_DESTROY_PODS when pods that name the node themselves came back. */
int node_evacuate(struct run *run, const char *name, struct error **err);

/* Whether the Elasticsearch of the log nodes can do without those in LEAVING (node names, NULL-terminated; may be
 * empty): it answers, has all primary shards, and there is room on the log nodes that stay. STATUS_DESTROY_DATA,
 * STATUS_SCALE_IN_LOGS. Nothing is queried where it is not installed, or where no log node stays (then `destroy` of the
 * log nodes themselves checks). */
int logs_check(struct run *run, char *const *leaving, struct error **err);

struct logs_move; /* what was changed in Elasticsearch */

/* Moves all shards off the nodes LEAVING and takes them out of the election of a master. *move (NULL when there was
 * nothing to do) is freed by logs_move_end. On failure Elasticsearch is as before. */
int logs_move_begin(struct run *run, char *const *leaving, struct logs_move **move, struct error **err);

/* LEFT: the nodes are gone, so their exclusions are dropped. Else they stay: what was changed is changed back. */
void logs_move_end(struct run *run, struct logs_move *move, bool left);

/* The StatefulSet with a pod less, after one of its nodes was drained, once all pods it then has are ready: its
 * disruption budget lets no two be away. With more pods less where one that was evicted has no node to go to, as other
 * nodes leave too: it takes the place of a pod of a node that stays, whose data it finds there. */
int logs_shrink(struct run *run, struct error **err);

#endif
