#include <string.h>
#include <unistd.h>

#include "hooks/run.h"
#include "hooks/stamp.h"
#include "hooks/steps/kubeadm.h"
#include "hooks/steps/steps.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/tree.h"

int kubeadm_phase(struct run *run, const char *phase, const char *part, struct error **err)
{
    const char *argv[] = {"kubeadm", "init", "phase", phase, part, "--config", KUBEADM_CONFIG, NULL};
    if (part == NULL) {
        memmove(&argv[4], &argv[5], 3 * sizeof argv[0]);
    }
    const struct proc proc = {.argv = argv, .deadline = run->deadline};
    return proc_run(&proc, NULL, err);
}

static const char *const kubeconfigs[] = {"admin.conf", "kubelet.conf", "controller-manager.conf", "scheduler.conf"};

static int certificates_done(struct run *run, struct error **err)
{
    (void)err;
    return stamp_same(run, "certificates", "made") && access("/etc/kubernetes/pki/ca.key", R_OK) == 0;
}

/* Without the stamp nothing has used what may lie there half written by a killed kubeadm: it is made anew. */
static int certificates_apply(struct run *run, struct error **err)
{
    if (stamp_same(run, "certificates", "made")) {
        return error_new(err, STATUS_FILE,
                         "/etc/kubernetes/pki/ca.key is gone, and with it the cluster's authority: bring a backup "
                         "back with `k8s-master restore`");
    }
    for (size_t i = 0; i < ELEMENTS(kubeconfigs); i++) {
        _cleanup_free_ char *path = path_join("/etc/kubernetes", kubeconfigs[i]);
        if (file_remove(path, NULL, err) < 0) {
            return -1;
        }
    }
    if (tree_remove("/data/kubernetes/pki", err) < 0 || kubeadm_phase(run, "certs", "all", err) < 0 ||
        kubeadm_phase(run, "kubeconfig", "all", err) < 0) {
        return -1;
    }
    return stamp_put(run, "certificates", "made", err);
}

const struct step step_certificates = {"certificates", certificates_done, certificates_apply, NULL};

static char *configuration_hash(const struct run *run)
{
    return stamp_of_files(run, KUBEADM_CONFIG, "/opt/kubernetes/versions.json", NULL);
}

static bool manifests_there(const struct run *run)
{
    static const char *const manifests[] = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"};
    for (size_t i = 0; i < ELEMENTS(manifests) - (run->facts->etcd_linked ? 1 : 0); i++) {
        _cleanup_free_ char *path = xasprintf("/etc/kubernetes/manifests/%s.yaml", manifests[i]);
        if (access(path, R_OK) < 0) {
            return false;
        }
    }
    return true;
}

static int control_plane_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_free_ char *hash = configuration_hash(run);
    return stamp_same(run, "control-plane", hash) && manifests_there(run);
}

static int control_plane_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *hash = configuration_hash(run);
    int etcd = run->facts->etcd_linked ? file_remove("/etc/kubernetes/manifests/etcd.yaml", NULL, err)
                                       : kubeadm_phase(run, "etcd", "local", err);
    if (etcd < 0 || kubeadm_phase(run, "control-plane", "all", err) < 0) {
        return -1;
    }
    return stamp_put(run, "control-plane", hash, err);
}

const struct step step_control_plane = {"control plane", control_plane_done, control_plane_apply, NULL};

/* The API server gives no event before it listens, so it is asked anew after a short pause. */
static int api_server_apply(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.api_s);
    _cleanup_error_ struct error *last = NULL;
    if (run_kube(run, err) < 0) {
        return -1;
    }
    for (;;) {
        _cleanup_free_ char *text = NULL;
        error_freep(&last);
        if (kube_get_text(run->kube, "/readyz", deadline_earlier(deadline, deadline_in(5000)), &text, NULL, &last) ==
            0) {
            return 0;
        }
        if (run_pause(250, deadline, err) < 0) {
            _cleanup_free_ char *tail = journal_tail("kubelet.service", 5);
            return error_wrap(err, "API server not ready within %d s (%s); last kubelet lines:\n%s",
                              run->conf->timeouts.api_s, last->message, tail);
        }
    }
}

const struct step step_api_server = {"API server", NULL, api_server_apply, NULL};

static int cluster_settings_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_free_ char *hash = configuration_hash(run);
    return stamp_same(run, "cluster-settings", hash);
}

static int cluster_settings_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *hash = configuration_hash(run);
    bool dns = !strv_contains(run->conf->addons.skip, "coredns");
    if (kubeadm_phase(run, "upload-config", "all", err) < 0 ||
        kubeadm_phase(run, "mark-control-plane", NULL, err) < 0 ||
        kubeadm_phase(run, "kubelet-finalize", "all", err) < 0 || kubeadm_phase(run, "addon", "kube-proxy", err) < 0 ||
        (dns && kubeadm_phase(run, "addon", "coredns", err) < 0)) {
        return -1;
    }
    return stamp_put(run, "cluster-settings", hash, err);
}

const struct step step_cluster_settings = {"cluster settings", cluster_settings_done, cluster_settings_apply, NULL};
