/* The package's services on the lab's machines, run as AppCenter runs them. */
#ifndef LAB_SERVICES_H
#define LAB_SERVICES_H

#include "lib/system/proc.h"
#include "tests/lab/lab/lab.h"

typedef bool machine_filter(const struct machine *machine);

/* A service runs in its event's main phase, or after start or stop where the package says so. */
enum phase { MAIN_PHASE, POST_PHASE };

/* EVENT (package.h, and "reload": what the agent runs) on one machine, with ARGUMENT (NULL: the service's own
 * parameters, if it has some). */
int service_run(const struct lab *lab, const struct machine *machine, const char *event, const char *argument,
                struct proc_result *result, struct error **err);

/* What custom_metadata printed is the machine's token from now on. */
void service_take_token(struct machine *machine, const struct proc_result *result);

/* EVENT on all machines WHICH picks whose role has it, in ascending order, those of the same order at once. The error
 * has the command's exit status. */
int services_phase(struct lab *lab, machine_filter *which, const char *event, enum phase phase, struct error **err);
int services_run(struct lab *lab, machine_filter *which, const char *event, struct error **err); /* the main phase */

#endif
