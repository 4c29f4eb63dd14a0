/* Kubernetes manifests: the documents of YAML streams, and which object each one describes. */
#ifndef HOOKS_ADDONS_MANIFEST_H
#define HOOKS_ADDONS_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

struct object {
    char *version; /* apiVersion */
    char *kind;
    char *space; /* metadata.namespace, NULL where the document has none */
    char *name;
};

struct document {
    struct object object;
    char *text; /* the YAML document, without a marker line */
};

struct manifest {
    struct document *documents;
    size_t n;
};

/* Adds the documents of a YAML stream. One that describes an object which is there already takes its place, so what
 * comes later overrides. SOURCE is for messages. STATUS_TEMPLATE when the text is not YAML or names no object. */
int manifest_add(struct manifest *manifest, const char *source, const char *text, struct error **err);
void manifest_free(struct manifest *manifest);
#define _cleanup_manifest_ _cleanup_(manifest_free)

/* Gives every document the annotation NAME: VALUE, neither of which needs quotes in YAML; the rest of its text stays.
 */
void manifest_annotate(struct manifest *manifest, const char *name, const char *value);

/* Puts the documents into the order in which a cluster can take them: namespaces and resource definitions, then what
 * workloads refer to, then workloads, then what intercepts API calls. */
void manifest_sort(struct manifest *manifest);

/* After manifest_sort: how many documents must be there before the API knows the kinds of the rest. */
size_t manifest_definitions(const struct manifest *manifest);

/* Documents FROM..TO-1 as one stream. The caller frees. */
char *manifest_text(const struct manifest *manifest, size_t from, size_t to);

/* "VERSION KIND NAMESPACE NAME", "-" for no namespace: one line of an inventory. The caller frees. */
char *object_key(const struct object *object);
/* Whether two keys mean the same object: all but the version, which may change under an object that stays. */
bool object_key_same(const char *a, const char *b);
/* {apiVersion, kind, metadata: {name, namespace}}; NULL when KEY is not a key. A new reference. */
json_t *object_identity(const char *key);

#endif
