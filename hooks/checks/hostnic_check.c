#include <inttypes.h>
#include <time.h>

#include "hooks/checks/checks.h"
#include "hooks/engine/run.h"
#include "hooks/files/cloud_state.h"

static void probe_hostnic(const struct check_context *context, struct finding *finding)
{
    const struct run *run = context->run;
    bool needed = run->facts->network == NETWORK_HOSTNIC;
    _cleanup_(cloud_state_clear) struct cloud_state state = {0};
    bool known = cloud_state_load(run, &state);
    if (!needed && !run->role->control_plane) {
        finding_ok(finding, "hostnic is not used");
    } else if (!known) {
        finding_warns(finding, "run `start`, which queries the cloud API", "the cloud API was not queried yet");
    } else if (state.status != STATUS_OK) {
        const struct status_row *row = status_row(state.status);
        finding_fails(finding, row->remedy, "%s", *state.message == '\0' ? row->english : state.message);
    } else {
        int64_t seconds = time_between(state.time, (int64_t)time(NULL));
        finding_ok(finding, "the cloud API accepted the settings %" PRId64 " minutes ago",
                   seconds < 0 ? 0 : seconds / 60);
    }
}

const struct check check_hostnic = {.name = "hostnic", .severity = WARNS, .probe = probe_hostnic};
