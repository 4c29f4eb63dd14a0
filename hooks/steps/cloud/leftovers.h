/* AppCenter deletes the machines of a cluster that is deleted, and knows nothing of the volumes and load balancers that
 * its controllers made. `destroy` runs after `stop`, when there is no API server to query, so `stop` records what there
 * is. The record holds until the cluster starts again, also for a second `stop`, which finds no API server. Only what
 * such a record names is deleted: without one, or with one from before a start, nothing is. */
#ifndef HOOKS_STEPS_CLOUD_LEFTOVERS_H
#define HOOKS_STEPS_CLOUD_LEFTOVERS_H

#include "hooks/engine/role.h"

#define LEFTOVERS_VOLUMES "volumes"
#define LEFTOVERS_BALANCERS "load_balancers"

/* The record, {"complete": bool, "time": seconds since 1970, and for each of the two kinds a list of {"id": the
 * volume's id or the load balancer's name, "of": what it was made for, "stays": why it is not deleted; none: it is}}.
 * A new reference; NULL without one that can be read. */
json_t *leftovers_load(const struct run *run);

/* Whether RECORD (may be NULL) is of the cluster's last stop. */
bool leftovers_complete(const json_t *record);

#endif
