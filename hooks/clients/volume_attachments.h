/* Which volumes are attached to which node, as the API has it (storage.k8s.io/v1 VolumeAttachment). */
#ifndef HOOKS_CLIENTS_VOLUME_ATTACHMENTS_H
#define HOOKS_CLIENTS_VOLUME_ATTACHMENTS_H

#include "hooks/engine/role.h"

/* Deletes those of NODE. MACHINE_GONE: there is nothing left to detach from, so the finalizer with which the CSI driver
 * must be waited for is removed too; else the driver detaches the volume before the object goes. */
int volume_attachments_delete(struct run *run, const char *node, bool machine_gone, struct error **err);

#endif
