#include <string.h>

#include "app/paths.h"
#include "hooks/checks/checks.h"
#include "hooks/checks/own_node.h"
#include "hooks/clients/kubeconfig.h"
#include "hooks/engine/run.h"

/* No credentials are needed for this: so the finding is about the API server and not about a certificate of ours. */
static void probe_api_server(const struct check_context *context, struct finding *finding)
{
    static const char remedy[] = "see `docker ps -a` for kube-apiserver and etcd, and their `docker logs`";
    static const struct http_tls tls = {.ca = CA_CERTIFICATE};
    struct error *err = NULL;
    struct kube *kube __attribute__((cleanup(kube_freep))) = NULL;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *server = xasprintf("https://%s:%d", context->run->facts->self->ip, API_PORT);
    if (kube_open(&kube, server, &tls, &err) < 0 ||
        kube_get_text(kube, "/readyz", context->deadline, &text, NULL, &err) < 0) {
        finding_error(finding, remedy, err);
    } else {
        finding_ok(finding, "the API server is ready");
    }
}

static void probe_node_ready(const struct check_context *context, struct finding *finding)
{
    static const char remedy[] = "run `kubectl describe node` on the client and read `journalctl -u kubelet` here";
    struct error *err = NULL;
    _cleanup_json_ json_t *node = NULL;
    const char *name = context->run->facts->self->node_name;
    if (own_node_get(context, &node, &err) < 0) {
        finding_error(finding, remedy, err);
        return;
    }
    const char *reason = NULL;
    const char *ready = kube_condition(node, "Ready", &reason);
    if (ready != NULL && strcmp(ready, "True") == 0) {
        finding_ok(finding, "node %s is Ready", name);
    } else {
        finding_fails(finding, remedy, "node %s is not Ready: %s", name, reason == NULL ? "no condition yet" : reason);
    }
}

static void probe_cluster_api(const struct check_context *context, struct finding *finding)
{
    static const char remedy[] = "run `start` again for a new kubeconfig, or `k8s-master check` on the master";
    struct error *err = NULL;
    struct kubeconfig config __attribute__((cleanup(kubeconfig_free))) = {0};
    struct kube *kube __attribute__((cleanup(kube_freep))) = NULL;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *path = run_path_followed(context->run, ROOT_KUBECONFIG);
    if (kubeconfig_read(path, &config, &err) < 0 || kubeconfig_open(&config, &kube, &err) < 0 ||
        kube_get_text(kube, "/readyz", context->deadline, &text, NULL, &err) < 0) {
        finding_error(finding, remedy, err);
    } else {
        finding_ok(finding, "the API server at %s is ready", config.server);
    }
}

const struct check check_api_server = {.name = "api-server", .severity = FAILS, .probe = probe_api_server};
const struct check check_node_ready = {.name = "node-ready", .severity = FAILS, .probe = probe_node_ready};
const struct check check_cluster_api = {.name = "cluster-api", .severity = FAILS, .probe = probe_cluster_api};
