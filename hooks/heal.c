#include "hooks/heal.h"

#include <signal.h>
#include <string.h>

#include "hooks/docker.h"
#include "hooks/docker_unused.h"
#include "hooks/run.h"
#include "hooks/runner.h"
#include "lib/log.h"

/* AppCenter gives `revive` 30 s. */
enum { UNIT_S = 15, ASK_S = 3 };

#define DOCKER "docker.service"
#define KUBELET "kubelet.service"

/* A unit that failed too often is not started again by systemd until it is told to forget. */
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
    return start_unit(run, DOCKER, err) < 0 || docker_ping(run_deadline(run, ASK_S), err) < 0 ? -1 : 1;
}

static int heal_kubelet(struct run *run, const char **done, struct error **err)
{
    *done = "the kubelet was started";
    return run_units(run, err) < 0 || start_unit(run, KUBELET, err) < 0 ? -1 : 1;
}

static int restart_kubelet(struct run *run, const char **done, struct error **err)
{
    *done = "the kubelet was restarted";
    if (run_units(run, err) < 0 || unit_reset_failed(run->units, KUBELET, err) < 0) {
        return -1;
    }
    return unit_restart(run->units, KUBELET, run_deadline(run, UNIT_S), err) < 0 ? -1 : 1;
}

/* When the API server itself is what does not answer, this host's kubelet is not to blame. */
static int heal_node_ready(struct run *run, const char **done, struct error **err)
{
    struct kube *kube __attribute__((cleanup(kube_freep))) = NULL;
    _cleanup_json_ json_t *node = NULL;
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", run->facts->self->node_name);
    if (run_kube_as_node(run, &kube, err) < 0) {
        return -1;
    }
    if (kube_get(kube, path, run_deadline(run, ASK_S), &node, NULL, NULL) < 0) {
        return 0;
    }
    return restart_kubelet(run, done, err);
}

/* The image's own stay, used or not: nobody could bring them back. */
static int heal_space(struct run *run, const char **done, struct error **err)
{
    size_t removed = 0;
    *done = "stopped containers and unused images were removed";
    if (docker_remove_unused(json_object_get(run->facts->versions, "images"), run_deadline(run, UNIT_S), &removed,
                             err) < 0) {
        return -1;
    }
    log_info("%zu unused images were removed", removed);
    return 1;
}

static int run_event(struct run *run, const char *event, struct error **err)
{
    const struct step *const *steps = role_steps(run->role, event, false);
    return steps == NULL ? 0 : steps_run(run, steps, err) < 0 ? -1 : 1;
}

/* The master signs its own. A client is given its access once more. A kubelet renews its own in time, and once that is
 * over it needs the join token, which is not for us to have honoured. */
static int heal_certificates(struct run *run, const char **done, struct error **err)
{
    if (strcmp(run->role->name, "master") == 0) {
        *done = "the certificates were renewed";
        return run_event(run, "renew-certs", err);
    }
    if (strcmp(run->role->name, "client") == 0) {
        *done = "the kubeconfig was made anew";
        return run_event(run, "start", err);
    }
    return 0;
}

static int heal_cluster_api(struct run *run, const char **done, struct error **err)
{
    *done = "the kubeconfig was made anew";
    return run_event(run, "start", err);
}

/* The kubelet starts a static pod's container again once it is gone. */
static int heal_api_server(struct run *run, const char **done, struct error **err)
{
    /* {"label": ["io.kubernetes.container.name=kube-apiserver"]} */
    static const char filter[] = "%7B%22label%22%3A%5B%22io.kubernetes.container.name%3Dkube-apiserver%22%5D%7D";
    _cleanup_free_ char *list = xasprintf("/containers/json?filters=%s", filter);
    _cleanup_json_ json_t *containers = NULL;
    if (docker_call("GET", list, run_deadline(run, ASK_S), &containers, err) < 0) {
        return -1;
    }
    const char *id = json_string_value(json_object_get(json_array_get(containers, 0), "Id"));
    if (id == NULL) {
        return 0;
    }
    _cleanup_free_ char *kill = xasprintf("/containers/%s/kill", id);
    *done = "the API server hung and its container was killed";
    return docker_call("POST", kill, run_deadline(run, ASK_S), NULL, err) < 0 ? -1 : 1;
}

const struct heal heals[] = {
    {&check_docker, false, heal_docker},           {&check_data_space, false, heal_space},
    {&check_data_inodes, false, heal_space},       {&check_certificates, false, heal_certificates},
    {&check_kubelet, false, heal_kubelet},         {&check_kubelet_healthz, true, restart_kubelet},
    {&check_api_server, true, heal_api_server},    {&check_node_ready, true, heal_node_ready},
    {&check_cluster_api, false, heal_cluster_api}, {NULL, false, NULL},
};
