#include <inttypes.h>
#include <time.h>

#include "hooks/checks/checks.h"
#include "hooks/engine/run.h"
#include "lib/system/file.h"

/* Written by whatever asks the cloud API: {"status": an exit status, "message": text, "time": seconds since 1970}. */
#define CLOUD_STATE "cloud.json"

static void look_hostnic(const struct check_context *context, struct finding *finding)
{
    if (context->run->facts->network != NETWORK_HOSTNIC) {
        finding_ok(finding, "hostnic is not used");
        return;
    }
    _cleanup_free_ char *path = run_state_path(context->run, CLOUD_STATE);
    _cleanup_json_ json_t *state = NULL;
    (void)file_read_json(path, &state, NULL);
    if (!json_is_object(state)) {
        finding_warns(finding, "run `start`, which asks the cloud API", "the cloud API was not asked yet");
        return;
    }
    int status = (int)json_integer_value(json_object_get(state, "status"));
    const char *message = json_string_value(json_object_get(state, "message"));
    if (status != STATUS_OK) {
        const struct status_row *row = status_row(status);
        finding_fails(finding, row->remedy, "%s", message == NULL ? row->english : message);
        return;
    }
    int64_t age = (int64_t)time(NULL) - json_integer_value(json_object_get(state, "time"));
    finding_ok(finding, "the cloud API had nothing against it %" PRId64 " minutes ago", age / 60);
}

const struct check check_hostnic = {.name = "hostnic", .severity = WARNS, .look = look_hostnic};
