
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/system/file.h"

/* Only what is compared is kept, so no secret lies in it. */
static const char accepted[] = "accepted.json";

static json_t *load_accepted(const struct run *run)
{
    _cleanup_free_ char *path = run_state_path(run, accepted);
    json_t *previous = NULL;
    return file_read_json(path, &previous, NULL) < 0 ? NULL : previous;
}

static json_t *acceptable(const struct run *run)
{
    json_t *vxnets = json_object_get(json_object_get(run->tree, "env"), "pod_vxnets");
    return json_pack("{s{sO*}}", "env", "pod_vxnets", vxnets);
}

static int parameters_done(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *previous = load_accepted(run);
    _cleanup_json_ json_t *now = acceptable(run);
    return facts_check_change(run->facts, previous, err) < 0 ? -1 : json_equal(previous, now);
}

static int parameters_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *now = acceptable(run);
    _cleanup_free_ char *path = run_state_path(run, accepted);
    _cleanup_free_ char *text = json_dumps(now, JSON_COMPACT);
    return file_put_private(path, text, err);
}

const struct step step_accept_parameters = {"accept parameters", parameters_done, parameters_apply, NULL};
