/* What AppCenter gives the cluster: the metadata tree made from the lab's state, and the server that serves it. */
#ifndef LAB_METADATA_H
#define LAB_METADATA_H

#include "tests/lab/lab/lab.h"

/* Starts the metadata server where it does not run. The network must have been entered. */
int metadata_up(struct lab *lab, struct error **err);
/* Serves the state as it is now: data of the cluster, and which address sees what. The agents see it as one change;
 * agents_await (machine/agents.h) waits for them. */
int metadata_publish(struct lab *lab, struct error **err);
/* The same, but the agents that wait for a change see none before the next one: for pre-checks, which come before. */
int metadata_publish_quietly(struct lab *lab, struct error **err);

/* FAULT as PUT /v1/fault takes it (tests/lab/shared/metad.h); NULL lifts it. */
int metadata_fault(const json_t *fault, struct error **err);

#endif
