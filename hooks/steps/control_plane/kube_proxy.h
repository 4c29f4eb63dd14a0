/* What kubeadm's DaemonSet of kube-proxy lacks. */
#ifndef HOOKS_STEPS_CONTROL_PLANE_KUBE_PROXY_H
#define HOOKS_STEPS_CONTROL_PLANE_KUBE_PROXY_H

#include "hooks/engine/role.h"

/* Applies KUBE_PROXY_MANIFEST (the log level) and has the pods replaced whose ConfigMap has changed. kubeadm's phase
 * writes the whole DaemonSet anew, so this follows it each time. Changes nothing the second time. */
int kube_proxy_apply(struct run *run, struct error **err);

#endif
