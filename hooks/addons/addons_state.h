/* What add-ons the cluster has: the ConfigMap kube-system/k8s-hooks-addons, so that it outlives the machine.
 *
 * In memory an object {add-on: {"hash": text, "objects": [object_key...]}}. hash is that of the manifest that was
 * applied whole, "" while one is being applied or deleted; objects are all that may be there on its account. */
#ifndef HOOKS_ADDONS_ADDONS_STATE_H
#define HOOKS_ADDONS_ADDONS_STATE_H

#include "hooks/addons/manifest.h"
#include "hooks/engine/role.h"

#define ADDONS_MANAGER_NAME "k8s-hooks"
#define ADDONS_MANAGER "--field-manager=" ADDONS_MANAGER_NAME
#define ADDONS_STATE "k8s-hooks-addons"

/* Needs run->kube. Without the ConfigMap *state is empty. An entry that cannot be read counts as nothing known, with a
 * warning. */
int addons_state_read(const struct run *run, json_t **state, struct error **err);
int addons_state_write(const struct run *run, const json_t *state, struct error **err);

/* "" when NAME is not recorded. Borrowed. */
const char *addons_state_hash(const json_t *state, const char *name);
/* An array, empty when NAME is not recorded. A new reference. */
json_t *addons_state_objects(const json_t *state, const char *name);
/* OBJECTS is taken over. */
void addons_state_set(json_t *state, const char *name, const char *hash, json_t *objects);

/* The keys of a manifest's objects, as an array; a new reference. */
json_t *inventory_of(const struct manifest *manifest);
/* Whether an inventory (an array of keys) names the object that KEY means. */
bool inventory_has(const json_t *inventory, const char *key);
/* Members of A, then those of B that A has not; a new reference. */
json_t *inventory_union(const json_t *a, const json_t *b);

#endif
