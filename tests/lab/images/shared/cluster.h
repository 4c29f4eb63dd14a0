/* The Kubernetes API from inside a pod: the service account's token and CA, the address from the environment
 * (KUBERNETES_SERVICE_HOST and _PORT), as client-go's rest.InClusterConfig finds them. */
#ifndef LAB_IMAGES_CLUSTER_H
#define LAB_IMAGES_CLUSTER_H

#include <stdbool.h>

#include <jansson.h>

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

/* Ends the program when it does not run in a pod with a service account. */
void cluster_open(void);

/* METHOD on PATH; BODY (may be NULL) is not released. The status, 0: no answer. *ANSWER (may be NULL) is the caller's,
 * NULL when it is no JSON. What is refused is logged. */
int cluster_call(const char *method, const char *path, const json_t *body, json_t **answer);

/* GET: the object, or NULL (logged unless it is a 404). */
json_t *cluster_get(const char *path);

/* The items of a list, or NULL. */
json_t *cluster_list(const char *path);

/* A merge patch; true when it was accepted. */
bool cluster_patch(const char *path, const json_t *patch);

/* The object at PATH gets STATUS, which is released; an object that is gone is left. */
void cluster_put_status(const char *path, json_t *status);

/* Lists PATH and follows it for good, in the calling thread. EVENT gets each object with what became of it: "ADDED",
 * "MODIFIED", "DELETED". Before each list "LISTING" with NULL, after it "LISTED" with NULL. */
typedef void cluster_event(const char *what, const json_t *object, void *data);
_Noreturn void cluster_watch(const char *path, cluster_event *event, void *data);
/* The same in a thread of its own. PATH must live on. */
void cluster_follow(const char *path, cluster_event *event, void *data);

/* Leads under the Lease NAME in NAMESPACE: returns when it is ours, and keeps it in a thread; the program ends when it
 * is lost, as client-go's leader election has it. */
void cluster_lead(const char *namespace, const char *name, const char *identity);

/* An Event about OBJECT, as kubectl describe shows them. */
void cluster_tell(const json_t *object, const char *component, const char *type, const char *reason,
                  const char *message);

/* Text in OBJECT at a path of names with blanks between ("metadata name"); "" when it is not there. */
const char *text_at(const json_t *object, const char *path);
json_t *json_at(const json_t *object, const char *path); /* borrowed, or NULL */

#endif
