#include "tests/lab/lab/cluster/appcenter.h"
#include "tests/lab/lab/cluster/metadata.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/machine/services.h"
#include "tests/lab/lab/progress.h"

static bool every(const struct machine *machine)
{
    return machine->instance_id != NULL;
}

static bool leaving(const struct machine *machine)
{
    return machine->instance_id != NULL && machine->deleting;
}

static bool staying(const struct machine *machine)
{
    return machine->instance_id != NULL && !machine->deleting;
}

/* Only a destroy that fails can be overridden. */
static int destroy(struct lab *lab, machine_filter *which, enum phase phase, bool force, struct error **err)
{
    struct error *refusal = NULL;
    if (services_phase(lab, which, "destroy", phase, &refusal) == 0) {
        return 0;
    }
    if (!force || refusal->status == STATUS_INTERRUPTED) {
        return error_move(err, &refusal);
    }
    progress_say("forced: %s", refusal->message);
    error_free(refusal);
    return 0;
}

static int leave(struct lab *lab, bool force, struct error **err)
{
    return services_run(lab, staying, "scale_in.pre_check", err) == 0 && appcenter_reload(lab, err) == 0 &&
                   destroy(lab, leaving, MAIN_PHASE, force, err) == 0 &&
                   services_run(lab, staying, "scale_in", err) == 0 && services_run(lab, leaving, "stop", err) == 0
               ? destroy(lab, leaving, POST_PHASE, force, err)
               : -1;
}

int appcenter_delete(struct lab *lab, char *const *names, bool force, struct error **err)
{
    for (; *names != NULL; names++) {
        struct machine *m = lab_find(lab, *names, err);
        if (m == NULL || appcenter_scales(lab, m->role, err) != 0) {
            appcenter_settle(lab);
            return -1;
        }
        m->deleting = true;
    }
    int r = metadata_publish_quietly(lab, err) == 0 ? leave(lab, force, err) : -1;
    if (r == 0) {
        appcenter_drop(lab, leaving);
    }
    appcenter_settle(lab);
    (void)lab_save(lab, NULL);
    return appcenter_reload(lab, r == 0 ? err : NULL) == 0 ? r : -1;
}

int appcenter_delete_cluster(struct lab *lab, bool force, struct error **err)
{
    if (destroy(lab, every, MAIN_PHASE, force, err) != 0 || services_run(lab, every, "stop", err) != 0 ||
        destroy(lab, every, POST_PHASE, force, err) != 0) {
        return -1;
    }
    lab->created = false;
    return appcenter_lose(lab, err);
}
