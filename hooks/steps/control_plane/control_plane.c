#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/clients/static_pods.h"
#include "hooks/engine/run.h"
#include "hooks/engine/stamp.h"
#include "hooks/steps/control_plane/kube_proxy.h"
#include "hooks/steps/control_plane/kubeadm.h"
#include "hooks/steps/control_plane/version_skew.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

int kubeadm_phase(struct run *run, const char *phase, const char *part, struct error **err)
{
    const char *argv[] = {"kubeadm", "init", "phase", phase, part, "--config", KUBEADM_CONFIG, NULL};
    if (part == NULL) {
        memmove(&argv[4], &argv[5], 3 * sizeof argv[0]);
    }
    const struct proc proc = {.argv = argv, .deadline = run->deadline};
    return proc_run(&proc, NULL, err);
}

int kubeadm_kubeconfigs(struct run *run, const char *directory, struct error **err)
{
    const char *argv[] = {"kubeadm",          "init",    "phase", "kubeconfig", "all", "--config", KUBEADM_CONFIG,
                          "--kubeconfig-dir", directory, NULL};
    const struct proc proc = {.argv = argv, .deadline = run->deadline};
    return proc_run(&proc, NULL, err);
}

static char *configuration_hash(const struct run *run)
{
    return stamp_of_files(run, KUBEADM_CONFIG, VERSIONS, NULL);
}

/* What kubeadm and kube_proxy_apply bring into the cluster follows from these. */
static char *settings_hash(const struct run *run)
{
    return stamp_of_files(run, KUBEADM_CONFIG, VERSIONS, KUBE_PROXY_MANIFEST, NULL);
}

/* etcd last: with a linked etcd there is none here. */
static const char *const manifests[] = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"};

static bool manifests_there(const struct run *run)
{
    for (size_t i = 0; i < ELEMENTS(manifests) - (run->facts->etcd_linked ? 1 : 0); i++) {
        _cleanup_free_ char *path = xasprintf(STATIC_PODS "/%s.yaml", manifests[i]);
        if (access(path, R_OK) < 0) {
            return false;
        }
    }
    return true;
}

int control_plane_stamp(struct run *run, bool current, struct error **err)
{
    _cleanup_free_ char *hash = configuration_hash(run);
    return current ? stamp_put(run, "control-plane", hash, err) : stamp_remove(run, "control-plane", err);
}

static int control_plane_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_free_ char *hash = configuration_hash(run);
    return manifests_there(run) && (upgrade_pending(run) || stamp_same(run, "control-plane", hash));
}

static int control_plane_apply(struct run *run, struct error **err)
{
    int etcd = run->facts->etcd_linked ? file_remove(STATIC_PODS "/etcd.yaml", NULL, err)
                                       : kubeadm_phase(run, "etcd", "local", err);
    if (etcd < 0 || kubeadm_phase(run, "control-plane", "all", err) < 0) {
        return -1;
    }
    return control_plane_stamp(run, true, err);
}

const struct step step_write_static_pods = {"write static pod manifests", control_plane_done, control_plane_apply,
                                            NULL};

static int probe_api_server(struct run *run, struct deadline deadline, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    return run_kube(run, err) < 0
               ? -1
               : kube_get_text(run->kube, "/readyz", deadline_earlier(deadline, deadline_in(5000)), &text, NULL, err);
}

static int api_server_apply(struct run *run, struct error **err)
{
    return run_until(run, probe_api_server, "API server", "ready", run->conf->timeouts.api_s, err);
}

const struct step step_wait_for_api_server = {"wait for API server", NULL, api_server_apply, NULL};

static int probe_components(struct run *run, struct deadline deadline, struct error **err)
{
    (void)run;
    return component_probe(&component_scheduler, deadline, err) < 0
               ? -1
               : component_probe(&component_controller_manager, deadline, err);
}

static int components_apply(struct run *run, struct error **err)
{
    return run_until(run, probe_components, "scheduler and controller manager", "healthy", run->conf->timeouts.api_s,
                     err);
}

const struct step step_wait_for_control_plane = {"wait for control plane", NULL, components_apply, NULL};

static int cluster_settings_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_free_ char *hash = settings_hash(run);
    bool moving = strcmp(run->event, "upgrade") != 0 && upgrade_pending(run);
    return moving || stamp_same(run, "cluster-settings", hash);
}

static int upload_settings(struct run *run, struct error **err)
{
    bool dns = !strv_contains(run->conf->addons.skip, "coredns");
    return kubeadm_phase(run, "upload-config", "all", err) == 0 &&
                   kubeadm_phase(run, "mark-control-plane", NULL, err) == 0 &&
                   kubeadm_phase(run, "kubelet-finalize", "all", err) == 0 &&
                   kubeadm_phase(run, "addon", "kube-proxy", err) == 0 && kube_proxy_apply(run, err) == 0 &&
                   (!dns || kubeadm_phase(run, "addon", "coredns", err) == 0)
               ? 0
               : -1;
}

/* Behind a changed manifest, the old API server answers that it is ready until the kubelet replaces it: what fails then
 * is tried once more, with the new one. */
static int cluster_settings_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *hash = settings_hash(run);
    _cleanup_error_ struct error *failure = NULL;
    if (upload_settings(run, &failure) < 0) {
        if (failure->status == STATUS_INTERRUPTED || failure->status == STATUS_DEADLINE) {
            return error_move(err, &failure);
        }
        log_warning("%s; once more when the API server is ready", failure->message);
        if (api_server_apply(run, err) < 0 || upload_settings(run, err) < 0) {
            return -1;
        }
    }
    return stamp_put(run, "kubernetes", image_version(run), err) < 0 ? -1
                                                                     : stamp_put(run, "cluster-settings", hash, err);
}

const struct step step_apply_cluster_settings = {"apply cluster settings", cluster_settings_done,
                                                 cluster_settings_apply, NULL};

static int control_plane_restarted_apply(struct run *run, struct error **err)
{
    static const struct static_pod_end end = {.grace_s = 20};
    for (size_t i = 0; i < ELEMENTS(manifests); i++) {
        if (static_pod_end(manifests[i], &end, run_deadline(run, 60), err) < 0) {
            return -1;
        }
    }
    return 0;
}

const struct step step_restart_control_plane = {"restart control plane", NULL, control_plane_restarted_apply, NULL};
