/* kubeadm's phases, run with the rendered configuration. */
#ifndef HOOKS_STEPS_CONTROL_PLANE_KUBEADM_H
#define HOOKS_STEPS_CONTROL_PLANE_KUBEADM_H

#include "app/paths.h"
#include "hooks/engine/role.h"

/* `kubeadm init phase PHASE [PART] --config KUBEADM_CONFIG` until the event's deadline; PART may be NULL. */
int kubeadm_phase(struct run *run, const char *phase, const char *part, struct error **err);

/* The Kubernetes that the image brings, "v1.20.2"; "" when it does not say. Borrowed. */
const char *image_version(const struct run *run);

/* True when the image brings a newer Kubernetes than the cluster runs: then `start` leaves the control plane as it is,
 * and `upgrade` moves it. The other way round, after a failed upgrade, `start` takes the cluster back. */
bool upgrade_pending(const struct run *run);

/* Records that the static pods are those of the rendered configuration and this image, or (false) that they may not be.
 */
int control_plane_stamp(struct run *run, bool current, struct error **err);

/* Waits until the kubelet's /healthz says ok: systemd counts it as started long before. */
int kubelet_wait(struct run *run, struct error **err);
/* Queries it once. STATUS_UNIT. */
int kubelet_query(struct run *run, struct deadline deadline, struct error **err);

#endif
