#include "hooks/engine/run.h"
#include "hooks/files/files.h"
#include "hooks/steps/steps.h"

/* Calls EACH for the units that the role's configuration wants on this host, while it returns 1. */
static int for_units(struct run *run, int (*each)(struct run *run, const char *unit, struct error **err),
                     struct error **err)
{
    if (files_render(run, err) < 0 || run_units(run, err) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *context = files_context(run);
    const struct role_conf *conf = run->rendered->conf;
    int result = 1;
    for (size_t i = 0; result == 1 && i < conf->n_units; i++) {
        if (when_holds(conf->units[i].when, context)) {
            result = each(run, conf->units[i].name, err);
        }
    }
    return result;
}

static int active(struct run *run, const char *unit, struct error **err)
{
    return unit_active(run->units, unit, err);
}

static int start(struct run *run, const char *unit, struct error **err)
{
    return unit_start(run->units, unit, run_deadline(run, run->conf->timeouts.unit_s), err) < 0 ? -1 : 1;
}

static int units_done(struct run *run, struct error **err)
{
    return for_units(run, active, err);
}

static int units_apply(struct run *run, struct error **err)
{
    return for_units(run, start, err) < 0 ? -1 : 0;
}

const struct step step_start_units = {"start units", units_done, units_apply, NULL};
