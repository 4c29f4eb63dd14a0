#include <string.h>

#include "hooks/checks/checks.h"
#include "hooks/clients/docker.h"
#include "lib/net/http.h"
#include "lib/system/unit.h"

/* True when the unit is active; else the finding is made. */
static bool active(const struct check_context *context, const char *unit, const char *remedy, struct finding *finding)
{
    struct error *err = NULL;
    struct units *units __attribute__((cleanup(units_freep))) = NULL;
    struct unit_state state;
    if (units_open(&units, context->deadline, &err) < 0 || unit_state(units, unit, &state, &err) < 0) {
        finding_error(finding, "see whether systemd answers: `systemctl status`", err);
        return false;
    }
    if (strcmp(state.load, "not-found") == 0) {
        finding_fails(finding, "install it or boot from a baked image", "%s is not installed", unit);
        return false;
    }
    if (strcmp(state.active, "active") != 0) {
        finding_fails(finding, remedy, "%s is %s (%s)", unit, state.active, state.sub);
        return false;
    }
    finding_ok(finding, "%s is active", unit);
    return true;
}

static void probe_docker(const struct check_context *context, struct finding *finding)
{
    struct error *err = NULL;
    /* Only then: a connection to the socket of a stopped Docker would start it. */
    if (active(context, "docker.service", "run `revive`, or read `journalctl -u docker`", finding) &&
        docker_ping(context->deadline, &err) < 0) {
        finding_error(finding, "docker hangs: run `revive`, which restarts it", err);
    }
}

static void probe_kubelet(const struct check_context *context, struct finding *finding)
{
    (void)context;
    (void)active(context, "kubelet.service", "run `revive`, or read `journalctl -u kubelet`", finding);
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
const struct check check_kubelet_healthz = {
    .name = "kubelet-healthz", .severity = FAILS, .probe = probe_kubelet_healthz};
