/* What a lab needs of the machine it runs on. */
#ifndef LAB_HOST_H
#define LAB_HOST_H

#include "lib/core/error.h"

/* STATUS_USAGE when something is missing, all of it in one message, with what to do about each. ROOT is where /proc and
 * /sys are looked for: "" for this host's own. PATH is where programs are looked for, as in the environment. */
int host_check(const char *root, const char *path, struct error **err);

/* The same for this host. */
int host_check_own(struct error **err);

#endif
