/* Expiry of logs: `keep_log_days` of the form. */
#ifndef HOOKS_STEPS_CLUSTER_PRUNE_LOGS_H
#define HOOKS_STEPS_CLUSTER_PRUNE_LOGS_H

#include "hooks/engine/role.h"

/* Deletes the daily indices whose last line is older than keep_log_days days, in UTC as Fluent Bit names them. Today is
 * the earlier one of this host's day and Elasticsearch's, so that one clock that is wrong deletes nothing. Indices that
 * are closed or frozen stay. With run->dry_run their names are printed instead. STATUS_LOG_UNREACHABLE, also when an
 * index cannot be deleted (the others are). */
int prune_logs(struct run *run, struct error **err);

#endif
