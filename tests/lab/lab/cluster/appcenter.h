/* AppCenter's part: what it does to a cluster and in what order (its developer guide, "lifecycle"). */
#ifndef LAB_APPCENTER_H
#define LAB_APPCENTER_H

#include "lib/system/proc.h"
#include "tests/lab/lab/lab.h"

struct role_count {
    const char *role;
    int count;
};

/* Machines for COUNTS (ended by a NULL role), without VMs yet. */
int appcenter_register(struct lab *lab, const struct role_count *counts, struct error **err);
/* New VMs for every machine that is off, all at once, and the metadata that tells of them. */
int appcenter_boot(struct lab *lab, struct error **err);
/* The whole create event for COUNTS (ended by a NULL role): register and boot where there are no machines, init,
 * custom_metadata, start. */
int appcenter_create(struct lab *lab, const struct role_count *counts, struct error **err);
/* All is lost but DIRECTORY of the master's volume; a new cluster of COUNTS, where that lies on the new master's. */
int appcenter_renew(struct lab *lab, const struct role_count *counts, const char *directory, struct error **err);
int appcenter_add(struct lab *lab, const struct role_count *counts, struct error **err);
/* Deletes the machines named; pre-check, scale_in, destroy (its refusal is overridden by FORCE), stop, gone. */
int appcenter_delete(struct lab *lab, char *const *names, bool force, struct error **err);
int appcenter_stop(struct lab *lab, struct error **err);
int appcenter_start(struct lab *lab, struct error **err); /* new VMs */
int appcenter_restart(struct lab *lab, struct error **err);
/* Changes a parameter; agents reload. */
int appcenter_set(struct lab *lab, const char *key, const char *value, struct error **err);
/* The agents of all running machines see changed metadata: `reload` on each. */
int appcenter_reload(struct lab *lab, struct error **err);

/* One machine of ROLE after the other gets a new VM. */
int appcenter_resize(struct lab *lab, const char *role, struct error **err);
/* Stops the cluster and starts it from the image with Kubernetes VERSION; FORWARD runs `upgrade` too, else it is the
 * way back. */
int appcenter_upgrade(struct lab *lab, const char *version, bool forward, struct error **err);

/* Ends and removes everything the lab made. Needs no child processes, so that it works after a signal. */
int lab_down(struct lab *lab, struct error **err);

#endif
