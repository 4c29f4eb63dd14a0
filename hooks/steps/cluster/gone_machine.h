/* What the cluster still records of a machine that is gone, once its node has another (AppCenter gives each new VM
 * another instance id). */
#ifndef HOOKS_STEPS_CLUSTER_GONE_MACHINE_H
#define HOOKS_STEPS_CLUSTER_GONE_MACHINE_H

#include "hooks/engine/role.h"

/* The instance that NODE was registered with when it is not HOST's; NULL when it is, or was never recorded. Borrowed
 * from NODE. */
const char *gone_instance(const json_t *node, const struct host *host);

/* Deletes what binds volumes and CSI drivers to GONE, the former instance of the node NAME: VolumeAttachments, with
 * their finalizers, as nothing is attached to a deleted machine; the drivers in its CSINode that registered as that
 * instance, whose id there cannot be changed, so that the kubelet registers them again. */
int gone_machine_forget(struct run *run, const char *name, const char *gone, struct error **err);

/* A CSINode is deleted with the Node object that owns it. Free of its owner before the Node NAME is replaced, and owned
 * by the new one after. Nothing is done where there is none. */
int csinode_release(struct run *run, const char *name, struct error **err);
int csinode_adopt(struct run *run, const char *name, struct error **err);

#endif
