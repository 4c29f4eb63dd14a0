/* What the hooks ask the Elasticsearch that serves. */
#ifndef HOOKS_CLIENTS_ELASTICSEARCH_H
#define HOOKS_CLIENTS_ELASTICSEARCH_H

#include "app/status.h"
#include "hooks/engine/role.h"

/* False where the cluster's own Elasticsearch is not installed: the image lacks it, or add-ons are off. */
bool elasticsearch_expected(const struct run *run);

/* GET PATH; *object is a new reference. STATUS_LOG_UNREACHABLE. */
int elasticsearch_get(const struct facts *facts, const char *path, struct deadline deadline, json_t **object,
                      struct error **err);

#endif
