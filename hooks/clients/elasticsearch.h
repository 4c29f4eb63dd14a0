/* Requests to the Elasticsearch that serves. */
#ifndef HOOKS_CLIENTS_ELASTICSEARCH_H
#define HOOKS_CLIENTS_ELASTICSEARCH_H

#include "app/status.h"
#include "hooks/engine/role.h"

/* False where the cluster's own Elasticsearch is not installed: the image lacks it, or add-ons are off. */
bool elasticsearch_expected(const struct run *run);

/* METHOD PATH (with its query), with BODY as JSON (NULL: none). *answer is a new reference to what came, object or
 * array; untouched on failure; with ANSWER NULL the answer's text is ignored. STATUS_LOG_UNREACHABLE, also for any HTTP
 * status but 2xx. */
int elasticsearch_call(const struct facts *facts, const char *method, const char *path, const json_t *body,
                       struct deadline deadline, json_t **answer, struct error **err);

/* GET PATH; *value is a new reference. */
int elasticsearch_get(const struct facts *facts, const char *path, struct deadline deadline, json_t **value,
                      struct error **err);

#endif
