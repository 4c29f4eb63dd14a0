/* Versions: what the cluster runs, and what the image brings. */
#ifndef HOOKS_STEPS_CONTROL_PLANE_VERSION_SKEW_H
#define HOOKS_STEPS_CONTROL_PLANE_VERSION_SKEW_H

#include "hooks/engine/role.h"

/* The Kubernetes that the image brings, "v1.20.2"; "" when it names none. Borrowed. */
const char *image_version(const struct run *run);

/* True when the image brings a newer Kubernetes than the cluster runs: then `start` leaves the control plane as it is,
 * and `upgrade` moves it. The other way round, after a failed upgrade, `start` takes the cluster back. */
bool upgrade_pending(const struct run *run);

#endif
