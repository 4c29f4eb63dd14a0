/* The lab's network namespace: a bridge, an address for whoever serves the machines, no way out. */
#ifndef LAB_NETWORK_H
#define LAB_NETWORK_H

#include "tests/lab/lab/lab.h"

/* Makes the namespace and its bridge where they are missing. */
int network_up(const struct lab *lab, struct error **err);
bool network_is_up(const struct lab *lab); /* the namespace is there */
/* Moves the calling process (all threads made later) into it; files and mounts stay as they are. */
int network_enter(const struct lab *lab, struct error **err);
/* Back to where the process was before it entered the first lab. */
void network_leave(void);
/* The path of that namespace for children, which have the caller's else; NULL where no lab was entered yet. The caller
 * frees. */
char *network_outside(void);
void network_down(const struct lab *lab);

#endif
