/* The Elasticsearch outside the cluster that logs go to. */
#ifndef HOOKS_STEPS_CLUSTER_LOGGING_H
#define HOOKS_STEPS_CLUSTER_LOGGING_H

#include "app/status.h"
#include "hooks/engine/role.h"

/* Returns once GET / at HOST:PORT answers, with whatever status below 500: one that requires a password is there.
 * STATUS_LOG_UNREACHABLE at DEADLINE, with what came last; STATUS_INTERRUPTED. */
int elasticsearch_await(const char *host, int port, struct deadline deadline, struct error **err);

#endif
