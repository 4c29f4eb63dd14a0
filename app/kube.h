/* Reads (and small merge patches) from the Kubernetes API with a client certificate; no kubectl, no kubeconfig parsing.
 */
#ifndef APP_KUBE_H
#define APP_KUBE_H

#include <stdbool.h>

#include <jansson.h>

#include "app/status.h"
#include "lib/core/error.h"
#include "lib/core/util.h"
#include "lib/net/http.h"

struct kube;

/* SERVER is "https://IP:6443". TLS as in lib/net/http.h; the strings are copied. */
int kube_open(struct kube **kube, const char *server, const struct http_tls *tls, struct error **err);
void kube_free(struct kube *kube);
void kube_freep(struct kube **kube);

/* GET PATH ("/api/v1/nodes"); *object is a new reference. STATUS_API with the API's own reason; *code (may be NULL) is
 * the HTTP status, 404 included, so that absence can be recognised. */
int kube_get(struct kube *kube, const char *path, struct deadline deadline, json_t **object, long *code,
             struct error **err);
/* The metadata alone of the object at PATH (a PartialObjectMetadata), so that no Secret's content is read; a new
 * reference. *object is NULL when the API has no such object. */
int kube_get_metadata(struct kube *kube, const char *path, struct deadline deadline, json_t **object,
                      struct error **err);
/* GET of a plain text (/readyz, /metrics). */
int kube_get_text(struct kube *kube, const char *path, struct deadline deadline, char **text, long *code,
                  struct error **err);
/* The same line by line, for texts too long to keep; LINE returns false when it needs no more. */
int kube_get_lines(struct kube *kube, const char *path, struct deadline deadline,
                   bool (*line)(void *context, const char *line), void *context, struct error **err);
/* Gives SEEN each object of the collection PATH ("/api/v1/nodes?fieldSelector=...") as it is now, and again whenever it
 * changes, until SEEN returns false. STATUS_DEADLINE when that does not come in time, STATUS_API when the API server
 * ends the watch before. */
int kube_watch(struct kube *kube, const char *path, struct deadline deadline,
               bool (*seen)(void *context, const json_t *object), void *context, struct error **err);
int kube_merge_patch(struct kube *kube, const char *path, const json_t *patch, struct deadline deadline,
                     struct error **err);
/* POST and DELETE; 409 on POST and 404 on DELETE are returned in *code, and are errors when CODE is NULL. */
int kube_post(struct kube *kube, const char *path, const json_t *object, struct deadline deadline, long *code,
              struct error **err);
int kube_delete(struct kube *kube, const char *path, struct deadline deadline, long *code, struct error **err);

/* status.conditions[type] of a node or pod object: "True", "False", "Unknown"; NULL when absent. Borrowed. */
const char *kube_condition(const json_t *object, const char *type, const char **reason);

#endif
