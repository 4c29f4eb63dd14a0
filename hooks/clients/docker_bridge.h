/* The bridge of Docker's own network. */
#ifndef HOOKS_CLIENTS_DOCKER_BRIDGE_H
#define HOOKS_CLIENTS_DOCKER_BRIDGE_H

/* "A.B.C.D/N" of the interface docker0 as the kernel has it; NULL when there is no such interface or it has no IPv4
 * address. The caller frees. */
char *docker_bridge_address(void);

#endif
