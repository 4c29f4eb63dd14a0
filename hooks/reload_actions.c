#include <string.h>
#include <unistd.h>

#include "hooks/reload.h"
#include "hooks/run.h"
#include "hooks/steps/kubeadm.h"
#include "hooks/steps/steps.h"
#include "lib/log.h"
#include "lib/proc.h"

#define CA_KEY "/etc/kubernetes/pki/ca.key"

static int daemon_reload(struct run *run, struct error **err)
{
    return run_units(run, err) < 0 ? -1 : units_reload(run->units, run_deadline(run, run->conf->timeouts.unit_s), err);
}

/* A unit that does not run takes its new files when `start` starts it; one whose file is gone has nothing left to do.
 */
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
    return restart_running(run, "systemd-sysctl.service", err);
}

static int routes_restart(struct run *run, struct error **err)
{
    return restart_running(run, "k8s-routes.service", err);
}

static int docker_restart(struct run *run, struct error **err)
{
    return restart_running(run, "docker.service", err);
}

static int kubelet_restart(struct run *run, struct error **err)
{
    return restart_running(run, "kubelet.service", err);
}

static int apply_step(struct run *run, const struct step *step, struct error **err)
{
    int done = step->done == NULL ? 0 : step->done(run, err);
    return done != 0 ? (done < 0 ? -1 : 0) : step->apply(run, err);
}

/* The API server takes a new certificate by itself: it watches the file. */
static int certificate(struct run *run, struct error **err)
{
    return access(CA_KEY, F_OK) < 0 ? 0 : apply_step(run, &step_certificates_fit, err);
}

static int control_plane(struct run *run, struct error **err)
{
    static const struct step *const steps[] = {&step_control_plane, &step_api_server, &step_cluster_settings};
    if (access(ADMIN_KUBECONFIG, F_OK) < 0) {
        return 0;
    }
    for (size_t i = 0; i < ELEMENTS(steps); i++) {
        if (apply_step(run, steps[i], err) < 0) {
            return error_wrap(err, "%s", steps[i]->name);
        }
    }
    return 0;
}

static int kubectl(const struct run *run, struct error **err, const char *verb, const char *const *arguments)
{
    const char *argv[16] = {"kubectl", "--kubeconfig", ADMIN_KUBECONFIG, verb};
    for (size_t i = 4; i < ELEMENTS(argv) - 1 && *arguments != NULL; i++) {
        argv[i] = *arguments++;
    }
    const struct proc proc = {.argv = argv, .deadline = run->deadline};
    return proc_run(&proc, NULL, err);
}

/* kubeadm knows of no change to a ConfigMap that would replace the pods, so they are asked to be; one at a time is the
 * DaemonSet's own rule. */
static int kube_proxy(struct run *run, struct error **err)
{
    static const char *const log_level[] = {"--server-side", "--force-conflicts", "--field-manager=k8s-hooks",
                                            "--filename=/etc/kubernetes/kube-proxy.yaml", NULL};
    static const char *const restart[] = {"restart", "--namespace=kube-system", "daemonset/kube-proxy", NULL};
    if (access(ADMIN_KUBECONFIG, F_OK) < 0) {
        return 0;
    }
    return kubeadm_phase(run, "addon", "kube-proxy", err) < 0 || kubectl(run, err, "apply", log_level) < 0 ||
                   kubectl(run, err, "rollout", restart) < 0
               ? -1
               : 0;
}

const struct reload_action reload_actions[] = {
    {"daemon-reload", daemon_reload},
    {"sysctl", sysctl},
    {"routes-restart", routes_restart},
    {"docker-restart", docker_restart},
    {"kubelet-restart", kubelet_restart},
    {"certificate", certificate},
    {"control-plane", control_plane},
    {"kube-proxy", kube_proxy},
    {NULL, NULL},
};

bool reload_action_known(const char *name)
{
    for (const struct reload_action *action = reload_actions; action->name != NULL; action++) {
        if (strcmp(action->name, name) == 0) {
            return true;
        }
    }
    return false;
}
