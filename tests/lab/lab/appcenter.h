/* AppCenter's part: what it does to a cluster and in what order (its developer guide, "lifecycle"). */
#ifndef LAB_APPCENTER_H
#define LAB_APPCENTER_H

#include "lib/proc.h"
#include "tests/lab/lab/lab.h"

struct role_count {
    const char *role;
    int count;
};

/* Machines for COUNTS (ended by a NULL role), without VMs yet. */
int appcenter_register(struct lab *lab, const struct role_count *counts, struct error **err);
/* New VMs for every machine that is off, all at once, and the metadata that tells of them. */
int appcenter_boot(struct lab *lab, struct error **err);
/* The whole create event for COUNTS (ended by a NULL role): register, boot, init, custom_metadata, start. */
int appcenter_create(struct lab *lab, const struct role_count *counts, struct error **err);
int appcenter_add(struct lab *lab, const struct role_count *counts, struct error **err);
/* Deletes the machines named; pre-check, scale_in, destroy (its refusal is overridden by FORCE), stop, gone. */
int appcenter_delete(struct lab *lab, char *const *names, bool force, struct error **err);
int appcenter_stop(struct lab *lab, struct error **err);
int appcenter_start(struct lab *lab, struct error **err); /* new VMs */
int appcenter_restart(struct lab *lab, struct error **err);
/* Changes a parameter; agents reload. */
int appcenter_set(struct lab *lab, const char *key, const char *value, struct error **err);
/* The agents of all running machines (but those in SKIP state) see changed metadata: `reload` on each. */
int appcenter_reload(struct lab *lab, struct error **err);

/* Runs the service EVENT of the machine's role, with ARGUMENT (may be NULL) behind. No such service: nothing is done.
 */
int appcenter_service(struct lab *lab, struct machine *machine, const char *event, const char *argument,
                      struct proc_result *result, struct error **err);

/* Ends and removes everything the lab made. Needs no child processes, so that it works after a signal. */
int lab_down(struct lab *lab, struct error **err);

#endif
