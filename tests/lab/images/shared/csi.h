/* What the sidecars of a CSI driver have in common: the driver behind the socket. CSI specification 1.1. */
#ifndef LAB_IMAGES_CSI_H
#define LAB_IMAGES_CSI_H

#include <stdint.h>

#include <jansson.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/cluster.h"

/* Waits until the driver at the socket answers Probe; its name, the caller's. */
char *csi_connect(const char *socket);
/* True when the controller says that it has the capability TYPE. */
bool csi_controller_can(const char *socket, unsigned type);
enum { CSI_CREATE_DELETE_VOLUME = 1, CSI_PUBLISH_UNPUBLISH = 2, CSI_SNAPSHOT = 5, CSI_CLONE = 7, CSI_EXPAND = 9 };

/* A Lease's name: what a Kubernetes name cannot have becomes "-". The caller frees. */
char *csi_lease(const char *prefix, const char *driver);
/* "10Gi" in bytes; 0 when it is no quantity. */
uint64_t quantity_bytes(const char *quantity);

/* What a CSINode says of DRIVER; borrowed, NULL when it is not on the node. */
const json_t *csi_node_driver(const json_t *node, const char *driver);
/* A VolumeCapability: a mount with a file system of that type, by one node that writes. */
void csi_put_capability(struct buffer *request, unsigned field, const char *fs_type);

/* Follows PATH in a thread of its own; no two events are taken at once, and none between csi_lock and csi_unlock. */
void csi_follow(const char *path, cluster_event *event);
void csi_lock(void);
void csi_unlock(void);
/* EVENT for each object of the list at PATH, as MODIFIED, with the kind that a list's items lack. */
void csi_each(const char *path, const char *version, const char *kind, cluster_event *event);

#endif
