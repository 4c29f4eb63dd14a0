/* Finds what an image must not hold. */
#ifndef BAKE_ROOT_SCAN_H
#define BAKE_ROOT_SCAN_H

#include "app/status.h"
#include "bake/root/rootfs.h"

/* STATUS_CHECK_REFUSED with a line for each find: identity of a machine (machine-id, host keys, random seed), logs,
 * lists of apt, histories, private keys, passwords, keys of a registry or the cloud, leavings of a bake. */
int scan_root(const struct root *root, struct error **err);

#endif
