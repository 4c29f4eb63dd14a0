/* AppCenter's agent on the lab's machines: a service of each (tests/lab/agent), which renders what the image's
 * /etc/confd lists whenever the metadata changes, and runs the reload commands. */
#ifndef LAB_AGENTS_H
#define LAB_AGENTS_H

#include "tests/lab/lab/machine/services.h"

/* Puts the agent, and with it the service, into LAYER. STATUS_USAGE where it is not built. */
int agent_install(const struct lab *lab, const char *layer, struct error **err);

/* Waits until the agents of the machines WHICH picks have processed what metadata_publish published last; where one
 * runs a reload command, that is the event "reload" of the record. The error is that of the first that failed, with its
 * exit status. A machine that a fault keeps from the metadata is not waited for: its agent reloads when the fault has
 * ended.
 */
int agents_await(struct lab *lab, machine_filter *which, struct error **err);

#endif
