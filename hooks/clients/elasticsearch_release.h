/* Which release an Elasticsearch outside the cluster is: what Fluent Bit sends and whether Kibana works depend on it.
 */
#ifndef HOOKS_CLIENTS_ELASTICSEARCH_RELEASE_H
#define HOOKS_CLIENTS_ELASTICSEARCH_RELEASE_H

#include "hooks/engine/role.h"

/* Queries the Elasticsearch outside, if that is where logs go, and records what it is in the state directory for
 * elasticsearch_describe; warns of what does not work with it. One that does not answer is not a failure: what is
 * recorded of that address counts. Nothing is written by a dry run. */
void elasticsearch_find_release(const struct run *run);

/* Sets logging.typeless, .type and .kibana of CONTEXT by what is recorded; without a record they stay. */
void elasticsearch_describe(const struct run *run, json_t *context);

#endif
