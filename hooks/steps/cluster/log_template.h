/* The index template by which Elasticsearch maps what applications log. */
#ifndef HOOKS_STEPS_CLUSTER_LOG_TEMPLATE_H
#define HOOKS_STEPS_CLUSTER_LOG_TEMPLATE_H

#include "hooks/engine/role.h"

/* Puts the template k8s-hooks for logstash-*, unless it is there in this version, into the Elasticsearch that logs go
 * to. It concerns the fields below log_processed only: a field that is a number in one pod's lines and a word in
 * another's is indexed where it is a number, and refused nowhere. Without log nodes' own Elasticsearch, its other
 * indices stay as they are; on log nodes the indices that are there take it too, for fields they do not have yet.
 * One that does not answer or refuses is logged and is no failure: `reconcile` repeats it. */
void log_template_put(struct run *run);

#endif
