/* A control group for each machine, so that the kubelets of several machines do not see each other's pods: nspawn roots
 * the machine's cgroup namespace where it was started. Both hierarchies: version 1 (and hybrid) and version 2. */
#ifndef LAB_CGROUP_H
#define LAB_CGROUP_H

#include "tests/lab/lab/lab.h"

/* Makes the groups /k8s-lab-NAME-MACHINE in every hierarchy and moves the calling process into them. */
int cgroup_enter(const struct lab *lab, const struct machine *machine, struct error **err);
/* Removes the groups with all below; their processes must have exited. */
void cgroup_remove(const struct lab *lab, const struct machine *machine);

/* The same for every group that is named as one of LAB's machines (ROLE-N), known to it or not; what runs in it is
 * killed.
 */
void cgroups_end(const struct lab *lab);

/* Bytes of memory that MACHINE's processes hold, files in the cache not counted; 0 when it cannot be read. */
unsigned long long cgroup_memory(const struct lab *lab, const struct machine *machine);

#endif
