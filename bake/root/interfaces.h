/* The names of network interfaces of a VM that is baked in place. */
#ifndef BAKE_ROOT_INTERFACES_H
#define BAKE_ROOT_INTERFACES_H

#include "bake/bake.h"

/* In place: GRUB's configuration is made again, so that the kernel starts with what the overlay has below
 * /etc/default/grub.d, and is verified to name net.ifnames=0. Warns where the VM has no GRUB, and says what the first
 * interface is called until the next start. An image of its own has its command line from system.conf. STATUS_CONFIG,
 * STATUS_COMMAND. */
int interfaces_keep_names(const struct bake *bake, struct error **err);

#endif
