/* kubectl as the cluster's administrator: for applying and deleting, where it does what the API alone does not. */
#ifndef HOOKS_CLIENTS_KUBECTL_H
#define HOOKS_CLIENTS_KUBECTL_H

#include "hooks/engine/role.h"

/* Runs kubectl (the image's bin/kubectl, else the one in PATH) with ARGUMENTS (NULL-terminated) and
 * /etc/kubernetes/admin.conf, within the event's deadline. INPUT, which may hold secrets, goes to stdin; NULL: none.
 * OUTPUT gets stdout and is freed by the caller; NULL: not kept. Errors as proc_run. */
int kubectl(const struct run *run, const char *const *arguments, const char *input, char **output, struct error **err);

/* Whether an error of kubectl means that the API does not serve the kind. */
bool kubectl_kind_unknown(const struct error *err);

/* Whether there is an administrator's kubeconfig at all, so that kubectl can be used. */
bool kubectl_ready(const struct run *run);

#endif
