#include <sys/timex.h>

#include "hooks/checks/checks.h"

static void probe_clock(const struct check_context *context, struct finding *finding)
{
    (void)context;
    static const char remedy[] =
        "see `timedatectl` and the time service's log (`journalctl -u systemd-timesyncd -u ntp`)";
    struct timex state = {0};
    /* adjtimex(2): the kernel forgets being in step when no service has adjusted it for a while. */
    if (adjtimex(&state) == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
        finding_warns(finding, remedy, "no time service synchronises the clock");
    } else {
        finding_ok(finding, "synchronised within %ld ms", state.maxerror / 1000);
    }
}

const struct check check_clock = {.name = "clock", .severity = WARNS, .probe = probe_clock};
