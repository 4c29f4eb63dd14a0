#include "hooks/steps/cluster/apply_addons.h"

#include "hooks/addons/addons.h"
#include "hooks/addons/addons_context.h"
#include "hooks/addons/addons_files.h"
#include "hooks/clients/elasticsearch_release.h"
#include "hooks/steps/cluster/log_template.h"
#include "hooks/steps/steps.h"

/* The plan refers to CONTEXT, so the caller keeps both. */
static int make_plan(struct run *run, json_t **context, struct addons_plan **plan, struct error **err)
{
    elasticsearch_find_release(run);
    *context = addons_context(run);
    return addons_plan_make(plan, run, *context, err);
}

int addons_done(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *context = NULL;
    _cleanup_(addons_plan_freep) struct addons_plan *plan = NULL;
    if (!run->conf->addons.enabled) {
        return 1;
    }
    return make_plan(run, &context, &plan, err) < 0 ? -1 : addons_plan_empty(plan);
}

int addons_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *context = NULL;
    _cleanup_(addons_plan_freep) struct addons_plan *plan = NULL;
    if (!run->conf->addons.enabled) {
        return 0;
    }
    /* before Fluent Bit writes there; the log nodes' own does not run yet, and `reconcile` sees to it */
    if (run->facts->log_target != LOG_NODES) {
        log_template_put(run);
    }
    return make_plan(run, &context, &plan, err) < 0 ? -1 : addons_plan_apply(plan, err);
}

int addons_preview(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *context = NULL;
    _cleanup_(addons_plan_freep) struct addons_plan *plan = NULL;
    _cleanup_rendered_addons_ struct rendered_addons addons = {0};
    size_t changed = 0;
    if (addons_files_render(run, false, &addons, err) < 0) {
        return -1;
    }
    /* A cluster that cannot be queried does not fail a dry run; addons_done has logged why. */
    if (make_plan(run, &context, &plan, NULL) == 0) {
        addons_plan_print(plan);
    }
    return addons_files_preview(run, &addons, &changed, err);
}

const struct step step_apply_addons = {"apply add-ons", addons_done, addons_apply, addons_preview};
