/* What a root already has: for every item of the bake the key of its inputs and the paths it put there. The record lies
 * in the image (/var/lib/k8s-bake/state.json) and holds nothing that differs between two equal bakes. */
#ifndef BAKE_STATE_H
#define BAKE_STATE_H

#include <stdbool.h>

#include <jansson.h>

#include "bake/root/rootfs.h"

#define STATE_PATH "/var/lib/k8s-bake/state.json"

/* *state is an empty record where the root has none; a record that cannot be read is STATUS_FILE. */
int state_load(const struct root *root, json_t **state, struct error **err);

/* True when ITEM was put in with KEY and every path of it is still there. */
bool state_has(const json_t *state, const struct root *root, const char *item, const char *key);

/* The key recorded, or NULL. */
const char *state_key(const json_t *state, const char *item);

/* True when ITEM put something at PATH. */
bool state_has_path(const json_t *state, const char *item, const char *path);

/* Records and saves. */
int state_set(json_t *state, const struct root *root, const char *item, const char *key, char *const *paths,
              struct error **err);
int state_drop(json_t *state, const struct root *root, const char *item, struct error **err);

/* The paths ITEM put in that no other recorded item did, and that are not in KEEP. The caller frees. */
char **state_own_paths(const json_t *state, const char *item, char *const *keep);

#endif
