#include <string.h>

#include "hooks/clients/docker_bridge.h"
#include "hooks/engine/run.h"
#include "hooks/engine/runner.h"
#include "hooks/steps/cluster/apply_addons.h"
#include "hooks/steps/cluster/prune_logs.h"
#include "hooks/steps/machine/file_actions.h"
#include "hooks/steps/node/node_object.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

static int daemon_reload(struct run *run, struct error **err)
{
    return run_units(run, err) < 0 ? -1 : units_reload(run->units, run_deadline(run, run->conf->timeouts.unit_s), err);
}

/* A unit that does not run takes its new files when it is started; one whose file is gone has nothing left to do. */
static int restart_running(struct run *run, const char *unit, struct error **err)
{
    struct unit_state state;
    struct deadline deadline = run_deadline(run, run->conf->timeouts.unit_s);
    if (run_units(run, err) < 0 || unit_state(run->units, unit, &state, err) < 0) {
        return -1;
    }
    if (strcmp(state.active, "inactive") == 0) {
        log_info("%s does not run: not restarted", unit);
        return 0;
    }
    if (strcmp(state.load, "loaded") != 0) {
        return unit_stop(run->units, unit, deadline, err);
    }
    return unit_restart(run->units, unit, deadline, err);
}

static int sysctl(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.unit_s);
    return run_units(run, err) < 0 ? -1 : unit_restart(run->units, "systemd-sysctl.service", deadline, err);
}

static int routes_restart(struct run *run, struct error **err)
{
    return restart_running(run, "k8s-routes.service", err);
}

/* Also where it does not run yet: the rules are needed from the moment the servers are known. They stay when no server
 * is known by its address any more. */
static int metadata_guard_restart(struct run *run, struct error **err)
{
    static const char unit[] = "k8s-metadata-guard.service";
    struct unit_state state;
    if (run_units(run, err) < 0 || unit_state(run->units, unit, &state, err) < 0) {
        return -1;
    }
    return strcmp(state.load, "loaded") != 0
               ? 0
               : unit_restart(run->units, unit, run_deadline(run, run->conf->timeouts.unit_s), err);
}

/* With live-restore, Docker keeps its network as it is while a container runs (dockerd(8), "live restore"). */
static void report_bridge(const struct run *run)
{
    _cleanup_free_ char *address = docker_bridge_address();
    if (address != NULL && strcmp(address, run->facts->parameters.docker_bip) != 0) {
        log_warning(
            "docker0 keeps %s while containers run: docker_bip %s takes effect when the cluster is restarted, or "
            "stopped and started",
            address, run->facts->parameters.docker_bip);
    }
}

static int docker_restart(struct run *run, struct error **err)
{
    if (restart_running(run, "docker.service", err) < 0) {
        return -1;
    }
    report_bridge(run);
    return 0;
}

static int kubelet_restart(struct run *run, struct error **err)
{
    int active = run_units(run, err) < 0 ? -1 : unit_active(run->units, "kubelet.service", err);
    if (active < 0 || restart_running(run, "kubelet.service", err) < 0) {
        return -1;
    }
    return active > 0 ? kubelet_wait(run, err) : 0;
}

/* The API server takes a new certificate by itself: it reads the file every minute. */
static int certificate(struct run *run, struct error **err)
{
    return step_run(run, &step_keep_certificates_valid, err) < 0 ? -1 : 0;
}

static int control_plane(struct run *run, struct error **err)
{
    static const struct step *const steps[] = {&step_write_static_pods, &step_wait_for_api_server,
                                               &step_wait_for_control_plane, &step_apply_cluster_settings};
    for (size_t i = 0; i < ELEMENTS(steps); i++) {
        if (step_run(run, steps[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Its manifest is one of the cluster's settings. */
static int kube_proxy(struct run *run, struct error **err)
{
    return step_run(run, &step_apply_cluster_settings, err) < 0 ? -1 : 0;
}

/* Only the master sees every node. While its kubelet is down there is no API server either, and `start` has the step.
 */
static int provider_ids(struct run *run, struct error **err)
{
    int active = run_units(run, err) < 0 ? -1 : unit_active(run->units, "kubelet.service", err);
    return active < 0 || (active > 0 && step_run(run, &step_set_provider_ids, err) < 0) ? -1 : 0;
}

/* Add-ons are not files of this host: they are compared with what the cluster has. */
static int addons_due(struct run *run, struct error **err)
{
    int done = run->role->control_plane ? addons_done(run, err) : 1;
    return done < 0 ? -1 : !done;
}

/* Only what the user changes is acted on at once: while a machine starts, Elasticsearch may be down, and the timer does
 * the same every day. */
static int prune(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *reason = NULL;
    if (run->root[0] != '\0') {
        return error_new(err, STATUS_USAGE,
                         "under --root %s no logs are deleted: its Elasticsearch may be one that runs", run->root);
    }
    if (strcmp(run->event, "reload") != 0 || prune_logs(run, &reason) == 0) {
        return 0;
    }
    if (reason->status != STATUS_LOG_UNREACHABLE) {
        return error_move(err, &reason);
    }
    log_warning("%s: k8s-prune-logs.timer tries again within a day", reason->message);
    return 0;
}

/* When the client has another key, as a new machine: it gets another certificate, sealed under that one. */
static int client_access_due(struct run *run, struct error **err)
{
    int done = run->role->control_plane ? step_publish_client_kubeconfig.done(run, err) : 1;
    return done < 0 ? -1 : !done;
}

static int client_access(struct run *run, struct error **err)
{
    return step_run(run, &step_publish_client_kubeconfig, err) < 0 ? -1 : 0;
}

const struct reload_action reload_actions[] = {
    {"daemon-reload", false, daemon_reload, NULL, NULL},
    {"sysctl", false, sysctl, NULL, NULL},
    {"routes-restart", false, routes_restart, NULL, NULL},
    {"metadata-guard-restart", false, metadata_guard_restart, NULL, NULL},
    {"docker-restart", false, docker_restart, NULL, NULL},
    {"kubelet-restart", false, kubelet_restart, NULL, NULL},
    {"certificate", true, certificate, NULL, NULL},
    {"control-plane", true, control_plane, NULL, NULL},
    {"kube-proxy", true, kube_proxy, NULL, NULL},
    {"addons", true, addons_apply, addons_due, addons_preview},
    {"client-access", true, client_access, client_access_due, NULL},
    {"provider-ids", true, provider_ids, NULL, NULL},
    {"prune-logs", false, prune, NULL, NULL},
    {NULL, false, NULL, NULL, NULL},
};
