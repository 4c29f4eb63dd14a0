#include <string.h>

#include "hooks/checks/checks.h"
#include "hooks/clients/docker.h"
#include "hooks/engine/run.h"
#include "lib/net/http.h"
#include "lib/system/unit.h"

#define SYSTEMD_REMEDY "see whether systemd answers: `systemctl status`"
#define PROGRAM_ABSENT "install it or boot from a baked image"

/* True when all of UNITS, which a NULL ends, are active; else the finding is made of the first that is not, with what
 * to do where it is ABSENT, or with REMEDY. */
static bool active(const struct check_context *context, const char *const *units, const char *absent,
                   const char *remedy, struct finding *finding)
{
    struct error *err = NULL;
    struct units *systemd __attribute__((cleanup(units_freep))) = NULL;
    struct unit_state state;
    if (units_open(&systemd, context->deadline, &err) < 0) {
        finding_error(finding, SYSTEMD_REMEDY, err);
        return false;
    }
    for (; *units != NULL; units++) {
        if (unit_state(systemd, *units, &state, &err) < 0) {
            finding_error(finding, SYSTEMD_REMEDY, err);
            return false;
        }
        if (strcmp(state.load, "not-found") == 0) {
            finding_fails(finding, absent, "%s is not installed", *units);
            return false;
        }
        if (strcmp(state.active, "active") != 0) {
            finding_fails(finding, remedy, "%s is %s (%s)", *units, state.active, state.sub);
            return false;
        }
    }
    return true;
}

static void probe_docker(const struct check_context *context, struct finding *finding)
{
    static const char *const units[] = {"docker.service", NULL};
    struct error *err = NULL;
    /* Only then: a connection to the socket of a stopped Docker would start it. */
    if (!active(context, units, PROGRAM_ABSENT, "run `revive`, or read `journalctl -u docker`", finding)) {
        return;
    }
    if (docker_ping(context->deadline, &err) < 0) {
        finding_error(finding, "docker hangs: run `revive`, which restarts it", err);
    } else {
        finding_ok(finding, "docker.service is active");
    }
}

static void probe_kubelet(const struct check_context *context, struct finding *finding)
{
    static const char *const units[] = {"kubelet.service", NULL};
    if (active(context, units, PROGRAM_ABSENT, "run `revive`, or read `journalctl -u kubelet`", finding)) {
        finding_ok(finding, "kubelet.service is active");
    }
}

/* Of the units that `start` starts beside the two above, those that every machine of the role has, whatever the
 * parameters: none is enabled, so that after a boot that AppCenter did not order they are all inactive. */
static void probe_units(const struct check_context *context, struct finding *finding)
{
    static const char *const of_every_role[] = {"k8s-reconcile.timer", NULL};
    static const char *const of_the_master[] = {"k8s-reconcile.timer", "k8s-prune-logs.timer", "k8s-admission.socket",
                                                NULL};
    const char *const *units = context->run->role->control_plane ? of_the_master : of_every_role;
    if (active(context, units, "run `start`, which writes it", "run `revive`, which starts this machine's units",
               finding)) {
        finding_ok(finding, "timers are active");
    }
}

static void probe_kubelet_healthz(const struct check_context *context, struct finding *finding)
{
    static const char remedy[] = "read `journalctl -u kubelet`";
    struct error *err = NULL;
    /* healthzBindAddress and healthzPort of the kubelet's configuration */
    const struct http_request request = {.url = "http://127.0.0.1:10248/healthz", .limit = 65536};
    if (http_fetch(&request, context->deadline, STATUS_UNHEALTHY, NULL, NULL, &err) < 0) {
        finding_error(finding, remedy, err);
    } else {
        finding_ok(finding, "the kubelet is healthy");
    }
}

const struct check check_docker = {.name = "docker", .severity = FAILS, .probe = probe_docker};
const struct check check_kubelet = {.name = "kubelet", .severity = FAILS, .probe = probe_kubelet};
const struct check check_units = {.name = "units", .severity = FAILS, .probe = probe_units};
const struct check check_kubelet_healthz = {
    .name = "kubelet-healthz", .severity = FAILS, .probe = probe_kubelet_healthz};
