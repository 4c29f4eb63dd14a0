/* kubeadm's phases, run with the rendered configuration. */
#ifndef HOOKS_STEPS_KUBEADM_H
#define HOOKS_STEPS_KUBEADM_H

#include "hooks/role.h"

#define KUBEADM_CONFIG "/etc/kubernetes/kubeadm.yaml"
#define KUBEADM_JOIN_CONFIG "/etc/kubernetes/kubeadm-join.yaml"
#define ADMIN_KUBECONFIG "/etc/kubernetes/admin.conf"
#define CLIENT_KUBECONFIG "/etc/kubernetes/client.conf"
#define CA_CERTIFICATE "/etc/kubernetes/pki/ca.crt"
#define CA_KEY "/etc/kubernetes/pki/ca.key"

/* `kubeadm init phase PHASE [PART] --config KUBEADM_CONFIG` until the event's deadline; PART may be NULL. */
int kubeadm_phase(struct run *run, const char *phase, const char *part, struct error **err);

#endif
