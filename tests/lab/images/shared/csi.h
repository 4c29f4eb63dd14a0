/* What the sidecars of a CSI driver have in common: the driver behind the socket. CSI specification 1.1. */
#ifndef LAB_IMAGES_CSI_H
#define LAB_IMAGES_CSI_H

#include <stdint.h>

#include "lib/core/util.h"

/* Waits until the driver at the socket answers Probe; its name, the caller's. */
char *csi_connect(const char *socket);
/* True when the controller says that it has the capability TYPE. */
bool csi_controller_can(const char *socket, unsigned type);
enum { CSI_CREATE_DELETE_VOLUME = 1, CSI_PUBLISH_UNPUBLISH = 2, CSI_SNAPSHOT = 5, CSI_CLONE = 7, CSI_EXPAND = 9 };

/* A Lease's name: what a Kubernetes name cannot have becomes "-". The caller frees. */
char *csi_lease(const char *prefix, const char *driver);
/* "10Gi" in bytes; 0 when it is no quantity. */
uint64_t quantity_bytes(const char *quantity);

#endif
