#include <inttypes.h>
#include <time.h>

#include "hooks/checks/checks.h"
#include "hooks/files/reload_record.h"

static void probe_reload(const struct check_context *context, struct finding *finding)
{
    _cleanup_free_ char *why = NULL;
    int64_t since = 0;
    if (reload_record_read(context->run, &since, &why) == 0) {
        finding_ok(finding, "the last reload succeeded");
        return;
    }
    int64_t minutes = time_between(since, (int64_t)time(NULL)) / 60;
    finding_warns(finding, "correct what the reason names and run `reload`",
                  "a change of the metadata is not applied for %" PRId64 " minutes: %s", minutes < 0 ? 0 : minutes,
                  why);
}

const struct check check_reload = {.name = "reload", .severity = WARNS, .probe = probe_reload};
