/* AppCenter's part: what it does to a cluster and in what order (its developer guide, "lifecycle"). */
#ifndef LAB_APPCENTER_H
#define LAB_APPCENTER_H

#include "lib/system/proc.h"
#include "tests/lab/lab/lab.h"

struct role_count {
    const char *role;
    int count;
};

/* Machines for COUNTS (the last has a NULL role), without VMs yet. */
int appcenter_register(struct lab *lab, const struct role_count *counts, struct error **err);
/* New VMs for every machine that is off, all at once, and the metadata that lists them. */
int appcenter_boot(struct lab *lab, struct error **err);
/* The whole create event for COUNTS (the last has a NULL role): register and boot where there are no machines, init,
 * custom_metadata, start. */
int appcenter_create(struct lab *lab, const struct role_count *counts, struct error **err);
/* All is lost but DIRECTORY of the master's volume; a new cluster of COUNTS, where that lies on the new master's. */
int appcenter_renew(struct lab *lab, const struct role_count *counts, const char *directory, struct error **err);
int appcenter_add(struct lab *lab, const struct role_count *counts, struct error **err);
/* Deletes the machines named: pre-check and scale_in on those that stay, stop and destroy on those that leave. A
 * destroy that fails ends it, and all of them stay, unless FORCE. Where destroy stands is the package's choice for each
 * role: post_stop_service false: before scale_in; true: after stop. */
int appcenter_delete(struct lab *lab, char *const *names, bool force, struct error **err);
/* The whole cluster: destroy (with post_stop_service false), stop, destroy (true), then VMs and volumes. A destroy that
 * fails ends it unless FORCE. */
int appcenter_delete_cluster(struct lab *lab, bool force, struct error **err);
int appcenter_stop(struct lab *lab, struct error **err);
int appcenter_start(struct lab *lab, struct error **err); /* new VMs */
/* `restart`, and where a role has no such service stop, then start; on the same VMs. */
int appcenter_restart(struct lab *lab, struct error **err);
/* Changes a parameter; agents reload. */
int appcenter_set(struct lab *lab, const char *key, const char *value, struct error **err);
/* The agents of all running machines see changed metadata: `reload` on each. */
int appcenter_reload(struct lab *lab, struct error **err);

/* Each machine of ROLE gets a new VM; one after the other or all at once, as the role's vertical_scaling_policy says.
 */
int appcenter_resize(struct lab *lab, const char *role, struct error **err);
/* Stops the cluster and starts it from the image with Kubernetes VERSION; FORWARD runs `upgrade` too, else it is the
 * way back. */
int appcenter_upgrade(struct lab *lab, const char *version, bool forward, struct error **err);

/* Parts of adding and deleting. WHICH is off, its volumes erased, and no longer in the lab. */
void appcenter_drop(struct lab *lab, bool (*which)(const struct machine *machine));
/* Nobody is adding or deleting any more. */
void appcenter_settle(struct lab *lab);
/* STATUS_USAGE where the package lets nobody add or delete hosts of ROLE. */
int appcenter_scales(const struct lab *lab, const char *role, struct error **err);
/* All machines are cut off and erased; the next cluster has another id. */
int appcenter_lose(struct lab *lab, struct error **err);

/* Ends and removes everything the lab made. Needs no child processes, so that it works after a signal. */
int lab_down(struct lab *lab, struct error **err);

#endif
