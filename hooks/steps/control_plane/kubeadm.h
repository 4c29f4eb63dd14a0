/* kubeadm's phases, run with the rendered configuration. */
#ifndef HOOKS_STEPS_CONTROL_PLANE_KUBEADM_H
#define HOOKS_STEPS_CONTROL_PLANE_KUBEADM_H

#include "app/paths.h"
#include "hooks/engine/role.h"

/* `kubeadm init phase PHASE [PART] --config KUBEADM_CONFIG` until the event's deadline; PART may be NULL. */
int kubeadm_phase(struct run *run, const char *phase, const char *part, struct error **err);

/* `kubeadm init phase kubeconfig all` into DIRECTORY, which is there. */
int kubeadm_kubeconfigs(struct run *run, const char *directory, struct error **err);

/* Records that the static pods are those of the rendered configuration and this image, or (false) that they may not be.
 */
int control_plane_stamp(struct run *run, bool current, struct error **err);

#endif
