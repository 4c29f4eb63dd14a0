/* master: the cluster's add-ons are what the parameters require (roles/addons.conf). The functions of
 * step_apply_addons, which reload uses too. */
#ifndef HOOKS_STEPS_CLUSTER_APPLY_ADDONS_H
#define HOOKS_STEPS_CLUSTER_APPLY_ADDONS_H

#include "hooks/engine/role.h"

int addons_done(struct run *run, struct error **err);
int addons_apply(struct run *run, struct error **err);
int addons_preview(struct run *run, struct error **err);

#endif
