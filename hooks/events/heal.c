#include "hooks/events/heal.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/clients/docker.h"
#include "hooks/clients/docker_unused.h"
#include "hooks/clients/etcd.h"
#include "hooks/clients/static_pods.h"
#include "hooks/engine/run.h"
#include "hooks/engine/runner.h"
#include "hooks/engine/stamp.h"
#include "hooks/files/backups.h"
#include "hooks/steps/control_plane/version_skew.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/net/http.h"

/* AppCenter gives `revive` 30 s. */
enum { UNIT_S = 15, RESTART_S = 8, REQUEST_S = 3, STARTING_S = 120 };

#define DOCKER "docker.service"
#define KUBELET "kubelet.service"
#define METADATA_GUARD "k8s-metadata-guard.service"

/* A unit that failed too often is not started again by systemd until its failed state is reset. */
static int start_unit(struct run *run, const char *unit, struct error **err)
{
    return unit_reset_failed(run->units, unit, err) < 0 ? -1
                                                        : unit_start(run->units, unit, run_deadline(run, UNIT_S), err);
}

/* One that is active and does not answer would not stop in time either. */
static int heal_docker(struct run *run, const char **done, struct error **err)
{
    int active = run_units(run, err) < 0 ? -1 : unit_active(run->units, DOCKER, err);
    if (active < 0) {
        return -1;
    }
    if (active == 1 && unit_kill(run->units, DOCKER, SIGKILL, err) < 0) {
        return -1;
    }
    *done = active == 1 ? "docker hung and was killed and started" : "docker was started";
    if (active == 1 && unit_stop(run->units, DOCKER, run_deadline(run, UNIT_S), err) < 0) {
        return -1;
    }
    return start_unit(run, DOCKER, err) < 0 || docker_ping(run_deadline(run, REQUEST_S), err) < 0 ? -1 : 1;
}

static int heal_kubelet(struct run *run, const char **done, struct error **err)
{
    *done = "the kubelet was started";
    return run_units(run, err) < 0 || start_unit(run, KUBELET, err) < 0 ? -1 : 1;
}

static int restart_kubelet(struct run *run, const char **done, struct error **err)
{
    _cleanup_error_ struct error *refusal = NULL;
    *done = "the kubelet was restarted";
    if (run_units(run, err) < 0 || unit_reset_failed(run->units, KUBELET, err) < 0) {
        return -1;
    }
    if (unit_restart(run->units, KUBELET, run_deadline(run, RESTART_S), &refusal) == 0) {
        return 1;
    }
    if (refusal->status != STATUS_DEADLINE) {
        return error_move(err, &refusal);
    }
    *done = "the kubelet hung and was killed and started";
    return unit_kill(run->units, KUBELET, SIGKILL, err) < 0 || start_unit(run, KUBELET, err) < 0 ? -1 : 1;
}

/* When the API server itself is what does not answer, this host's kubelet is not to blame. A kubelet makes its
 * certificate and its node again at its start, where they are gone. */
static int heal_node_ready(struct run *run, const char **done, struct error **err)
{
    struct kube *kube __attribute__((cleanup(kube_freep))) = NULL;
    _cleanup_json_ json_t *node = NULL;
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", run->facts->self->node_name);
    if (access(KUBELET_CLIENT_CERTIFICATE, R_OK) < 0) {
        return restart_kubelet(run, done, err);
    }
    if (run_kube_as_node(run, &kube, err) < 0) {
        return -1;
    }
    long code = 0;
    if (kube_get(kube, path, run_deadline(run, REQUEST_S), &node, &code, NULL) < 0 && code != 404) {
        return 0;
    }
    return restart_kubelet(run, done, err);
}

/* The image's own stay, used or not: nobody could bring them back. */
static int heal_space(struct run *run, const char **done, struct error **err)
{
    size_t removed = 0;
    *done = "stopped containers and unused images were removed";
    /* None is made or deleted now, as this event has the lock. */
    if (backup_remove_leftovers(err) < 0) {
        return -1;
    }
    if (docker_remove_stopped(run_deadline(run, UNIT_S), err) < 0 ||
        docker_remove_unused(json_object_get(run->facts->versions, "images"), 0, run_deadline(run, UNIT_S), &removed,
                             err) < 0) {
        return -1;
    }
    log_info("%zu unused images were removed", removed);
    return 1;
}

/* All at once: one after the other, as `renew-certs` does it, takes longer than there is. An API server that is queried
 * to end waits a minute for those who watch it. The kubelet reads its own certificate at its start. */
static int renew_certificates(struct run *run, const char **done, struct error **err)
{
    static const struct step *const renew[] = {&step_keep_certificates_valid, NULL};
    static const struct {
        const char *name, *signal;
    } parts[] = {
        {"etcd", "TERM"},
        {"kube-controller-manager", "TERM"},
        {"kube-scheduler", "TERM"},
        {"kube-apiserver", "KILL"},
    };
    if (steps_run(run, renew, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ELEMENTS(parts); i++) {
        const struct static_pod_end end = {.signal = parts[i].signal};
        if (static_pod_end(parts[i].name, &end, run_deadline(run, REQUEST_S), err) < 0) {
            return -1;
        }
    }
    int r = restart_kubelet(run, done, err);
    *done = "certificates were renewed, control plane and kubelet restarted";
    return r;
}

/* The client is given its access once more. */
static int heal_cluster_api(struct run *run, const char **done, struct error **err)
{
    const struct step *const *steps = role_steps(run->role, "start");
    *done = "the kubeconfig was recreated";
    return steps == NULL ? 0 : steps_run(run, steps, err) < 0 ? -1 : 1;
}

/* The master signs its own. A kubelet renews its own in time, and once that is over it needs the join token, which is
 * not for us to make valid. */
static int heal_certificates(struct run *run, const char **done, struct error **err)
{
    if (run->role->control_plane) {
        return renew_certificates(run, done, err);
    }
    return run->role->kubeconfig != NULL ? heal_cluster_api(run, done, err) : 0;
}

/* What the manifests hold together, so that a rewritten one shows. */
static char *manifests_digest(const struct run *run)
{
    return stamp_of_files(run, STATIC_PODS "/kube-apiserver.yaml", STATIC_PODS "/kube-controller-manager.yaml",
                          STATIC_PODS "/kube-scheduler.yaml", STATIC_PODS "/etcd.yaml", NULL);
}

/* A manifest that is missing or damaged is written again; else a container that hangs is killed, and the kubelet starts
 * it again. One that is starting is not ready either, and would never be if it were killed for that. While the image
 * brings another version, `upgrade` is what writes manifests. */
static int heal_static_pod(struct run *run, const char *name, const char **done, struct error **err)
{
    static const struct static_pod_end end = {.signal = "KILL", .age_s = STARTING_S};
    _cleanup_free_ char *before = manifests_digest(run);
    if (!upgrade_pending(run) && step_write_static_pods.apply(run, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *after = manifests_digest(run);
    if (strcmp(before, after) != 0) {
        *done = "static pod manifests were missing or damaged and were written again";
        return 1;
    }
    int stopped = static_pod_end(name, &end, run_deadline(run, REQUEST_S), err);
    return stopped < 0 ? -1 : stopped > 0;
}

static int heal_api_server(struct run *run, const char **done, struct error **err)
{
    *done = "the API server hung and its container was killed";
    return heal_static_pod(run, "kube-apiserver", done, err);
}

static int heal_scheduler(struct run *run, const char **done, struct error **err)
{
    *done = "the scheduler hung and its container was killed";
    return heal_static_pod(run, "kube-scheduler", done, err);
}

static int heal_controller_manager(struct run *run, const char **done, struct error **err)
{
    *done = "the controller manager hung and its container was killed";
    return heal_static_pod(run, "kube-controller-manager", done, err);
}

/* An etcd that answers does not hang: what it reports (no space, no leader) a restart would not change. */
static int heal_etcd(struct run *run, const char **done, struct error **err)
{
    struct etcd_size size;
    *done = "etcd hung and its container was killed";
    if (etcd_size(ETCD_METRICS, run_deadline(run, REQUEST_S), &size, NULL) == 0) {
        return 0;
    }
    return heal_static_pod(run, "etcd", done, err);
}

static int heal_metadata_guard(struct run *run, const char **done, struct error **err)
{
    *done = "the rules that keep pods from the metadata servers were set again";
    return run_units(run, err) < 0 || unit_restart(run->units, METADATA_GUARD, run_deadline(run, RESTART_S), err) < 0
               ? -1
               : 1;
}

static int heal_units(struct run *run, const char **done, struct error **err)
{
    *done = "the units of this machine that `start` starts were started";
    return step_start_units.apply(run, err) < 0 ? -1 : 1;
}

static int heal_pod_network(struct run *run, const char **done, struct error **err)
{
    *done = "flannel and the pods with addresses of the former pod network were restarted";
    return step_renew_pod_network.apply(run, err) < 0 ? -1 : 1;
}

const struct heal heals[] = {
    {.check = &check_docker, .apply = heal_docker},
    {.check = &check_data_space, .at_once = true, .apply = heal_space},
    {.check = &check_data_inodes, .at_once = true, .apply = heal_space},
    {.check = &check_certificates, .apply = heal_certificates},
    {.check = &check_metadata_guard, .at_once = true, .apply = heal_metadata_guard},
    {.check = &check_kubelet, .apply = heal_kubelet},
    {.check = &check_kubelet_healthz, .alone = true, .apply = restart_kubelet},
    {.check = &check_etcd, .alone = true, .apply = heal_etcd},
    {.check = &check_api_server, .alone = true, .apply = heal_api_server},
    {.check = &check_scheduler, .alone = true, .apply = heal_scheduler},
    {.check = &check_controller_manager, .alone = true, .apply = heal_controller_manager},
    {.check = &check_node_ready, .alone = true, .apply = heal_node_ready},
    {.check = &check_pod_network, .at_once = true, .apply = heal_pod_network},
    {.check = &check_cluster_api, .at_once = true, .apply = heal_cluster_api},
    {.check = &check_units, .at_once = true, .apply = heal_units},
    {.check = NULL},
};
