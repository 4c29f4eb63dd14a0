/* The client's access to the cluster. */
#ifndef HOOKS_STEPS_CONTROL_PLANE_CLIENT_ACCESS_H
#define HOOKS_STEPS_CONTROL_PLANE_CLIENT_ACCESS_H

#include "hooks/engine/role.h"

/* The groups of the client's certificates: this and a number, which grows with each certificate. */
#define CLIENT_GROUP "k8s-hooks:cluster-admins:"

/* The group of the certificate that the client is given now. The caller frees. STATUS_FILE before `init`. */
int client_group(const struct run *run, char **group, struct error **err);

#endif
