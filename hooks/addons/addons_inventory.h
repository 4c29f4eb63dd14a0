/* What this master applied itself: addons/objects.json in its state directory, 0600. The cluster's own record
 * (hooks/addons/addons_state.h) can be changed by whoever may edit ConfigMaps; this one by root of the master alone, so
 * only what it names is ever deleted.
 *
 * In memory an object {add-on: {object_key: owned}}; owned is live_objects_read's after the object was applied, ""
 * where that is not known. */
#ifndef HOOKS_ADDONS_ADDONS_INVENTORY_H
#define HOOKS_ADDONS_ADDONS_INVENTORY_H

#include <jansson.h>

#include "hooks/engine/role.h"

/* Without the file, or with one that cannot be read: the objects of the manifests that are kept beside it, as former
 * versions of the suite kept no more. */
int addons_inventory_read(const struct run *run, json_t **inventory, struct error **err);
int addons_inventory_write(const struct run *run, const json_t *inventory, struct error **err);

/* Whether any add-on has the object that KEY means. */
bool addons_inventory_has(const json_t *inventory, const char *key);
/* The keys of what ADDON has, an array; a new reference. */
json_t *addons_inventory_objects(const json_t *inventory, const char *addon);
/* "" where it is not known. Borrowed. */
const char *addons_inventory_owned(const json_t *inventory, const char *addon, const char *key);
/* Adds KEYS (an array) to what ADDON has. */
void addons_inventory_add(json_t *inventory, const char *addon, const json_t *keys);
/* ADDON has KEYS and no more, as LIVE has them. */
void addons_inventory_set(json_t *inventory, const char *addon, const json_t *keys, const json_t *live);

#endif
