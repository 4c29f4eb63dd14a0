/* What the cluster has of the objects that keys name (hooks/addons/manifest.h): their metadata, read without kubectl.
 */
#ifndef HOOKS_ADDONS_LIVE_OBJECTS_H
#define HOOKS_ADDONS_LIVE_OBJECTS_H

#include <jansson.h>

#include "hooks/engine/role.h"

/* A user's word that an object is to be left as it is: an annotation with the value "disabled". */
#define RECONCILE_ANNOTATION "k8s-hooks/reconcile"
/* With the value "keep": the object is applied, and never deleted (Helm's annotation of that meaning). */
#define KEEP_ANNOTATION "helm.sh/resource-policy"

/* *live is a new object {key: {"ours", "exempt", "kept", "deleting": booleans, "owned": text}} of those of KEYS (an
 * array) that the cluster has. exempt, kept: by the two annotations above. ours: k8s-hooks created it: it has the
 * annotation of addons_render.h, or (made by a former version) the API server's managedFields name k8s-hooks' field
 * manager. owned: a hash of the fields that are k8s-hooks' and of the generation; another when somebody else has
 * changed or removed one since it was applied. A kind that the API does not serve counts as absent. Needs run->kube.
 * STATUS_API. */
int live_objects_read(const struct run *run, const json_t *keys, json_t **live, struct error **err);

/* The entry of the object that KEY means, NULL when the cluster has none. Borrowed. */
const json_t *live_object(const json_t *live, const char *key);
bool live_object_is(const json_t *object, const char *what);

#endif
