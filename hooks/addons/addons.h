/* The add-on engine: what the cluster has of add-ons is compared with what it should have, and made so.
 *
 * What may be there is recorded in the cluster before anything is changed, and that it is there whole only afterwards
 * (hooks/addons/addons_state.h), so that a run that was killed at any point is taken up by the next one. */
#ifndef HOOKS_ADDONS_ADDONS_H
#define HOOKS_ADDONS_ADDONS_H

#include "hooks/engine/role.h"

struct addons_plan;

/* Renders every add-on that is on and compares it with what is recorded and there: an object of ours that is gone, or
 * that others have changed, is applied again. One with the annotation k8s-hooks/reconcile: disabled is neither applied
 * nor deleted; nor is, once an add-on was applied, another of the same name that a user made in its place. CONTEXT is
 * that of templates/README.md. Before the cluster has an administrator's kubeconfig everything counts as absent. RUN
 * and CONTEXT must outlive the plan. */
int addons_plan_make(struct addons_plan **plan, struct run *run, const json_t *context, struct error **err);
void addons_plan_free(struct addons_plan *plan);
void addons_plan_freep(struct addons_plan **plan);

/* Nothing to apply and nothing to delete. */
bool addons_plan_empty(const struct addons_plan *plan);

/* One line an add-on that would change, to stdout. */
void addons_plan_print(const struct addons_plan *plan);

/* Deletes what is off (in reverse order), then applies what is on (in order), each with what it no longer holds. Only
 * objects are deleted that k8s-hooks created and this master has recorded on its disk. */
int addons_plan_apply(struct addons_plan *plan, struct error **err);

#endif
