/* Names of the daily indices that logs and metrics are written to. */
#ifndef HOOKS_STEPS_CLUSTER_LOG_INDEX_H
#define HOOKS_STEPS_CLUSTER_LOG_INDEX_H

#include <stdbool.h>
#include <stdint.h>

/* logstash-YYYY.MM.DD (Fluent Bit's Logstash_Format), heapster-YYYY.MM.DD and heapster-KIND-YYYY.MM.DD (heapster's
 * sink). *DAY is that day as days since 1970-01-01 UTC. False for every other name, also for a day the calendar does
 * not have and for characters that Elasticsearch allows in no index name: they would be patterns in a request. */
bool log_index_day(const char *name, int64_t *day);

#endif
