/* Objects of the cluster, made from manifests and unmade by their keys (hooks/addons/manifest.h), through kubectl. */
#ifndef HOOKS_ADDONS_CLUSTER_OBJECTS_H
#define HOOKS_ADDONS_CLUSTER_OBJECTS_H

#include "hooks/addons/manifest.h"
#include "hooks/engine/role.h"

/* Server-side apply under one field manager, of a sorted manifest. Kinds that the manifest itself defines are known to
 * the API before objects of them are applied. An object that the API server will not change in place is deleted and
 * made again, unless LIVE (of live_objects_read, or NULL) shows that it is not k8s-hooks'. */
int manifest_apply(const struct run *run, const struct manifest *manifest, const json_t *live, struct error **err);

/* Deletes the objects named by KEYS (an array), the last first, and waits until they are gone. Absent ones, and those
 * whose kind the API no longer knows, are fine. */
int objects_delete(const struct run *run, const json_t *keys, struct error **err);

#endif
