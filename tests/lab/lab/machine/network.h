/* The lab's network namespace: a bridge, an address for whoever serves the machines, no way out. */
#ifndef LAB_NETWORK_H
#define LAB_NETWORK_H

#include "tests/lab/lab/lab.h"

/* Makes the namespace and its bridge where they are missing. */
int network_up(const struct lab *lab, struct error **err);
/* Moves the calling process (all threads made later) into it; files and mounts stay as they are. */
int network_enter(const struct lab *lab, struct error **err);
/* Back to where the process was before it entered the first lab. */
void network_leave(void);
void network_down(const struct lab *lab);

#endif
