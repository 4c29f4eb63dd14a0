#include <string.h>
#include <time.h>

#include "app/paths.h"
#include "hooks/addons/addons_files.h"
#include "hooks/clients/etcd.h"
#include "hooks/clients/static_pods.h"
#include "hooks/engine/run.h"
#include "hooks/events/events.h"
#include "hooks/events/tables.h"

/* Where the role has an administrator's kubeconfig its connection, elsewhere the host's. */
struct api {
    struct kubeconfig config;
    struct kube *own;
    struct kube *kube;
};

static int open_api(struct run *run, struct api *api, struct error **err)
{
    if (run->role->kubeconfig == NULL) {
        if (run_kube(run, err) < 0) {
            return -1;
        }
        api->kube = run->kube;
        return 0;
    }
    _cleanup_free_ char *path = run_path_followed(run, run->role->kubeconfig);
    if (kubeconfig_read(path, &api->config, err) < 0 || kubeconfig_open(&api->config, &api->own, err) < 0) {
        return -1;
    }
    api->kube = api->own;
    return 0;
}

static void close_api(struct api *api)
{
    kube_free(api->own);
    kubeconfig_free(&api->config);
}

static int tab_nodes(struct run *run, json_t **table, struct error **err)
{
    struct api api __attribute__((cleanup(close_api))) = {0};
    _cleanup_json_ json_t *list = NULL;
    if (open_api(run, &api, err) < 0 || kube_get(api.kube, "/api/v1/nodes", run->deadline, &list, NULL, err) < 0) {
        return -1;
    }
    *table = nodes_table(list);
    return 0;
}

enum { PROBE_MS = 5000 };

/* What the control plane on this host answers itself, for components_table(). The kubelet of 1.20 may report the state
 * of a static pod two minutes late: after a create the table would show a scheduler that works as not ready. */
static json_t *probe_control_plane(struct run *run, struct kube *kube)
{
    static const struct component *const components[] = {&component_scheduler, &component_controller_manager};
    struct deadline deadline = deadline_earlier(run->deadline, deadline_in(PROBE_MS));
    _cleanup_free_ char *text = NULL;
    json_t *healthy =
        json_pack("{sb}", "kube-apiserver", kube_get_text(kube, "/readyz", deadline, &text, NULL, NULL) == 0);
    deadline = deadline_earlier(run->deadline, deadline_in(PROBE_MS));
    json_object_set_new(healthy, "etcd", json_boolean(etcd_health(ETCD_METRICS, deadline, NULL) == 0));
    for (size_t i = 0; i < ELEMENTS(components); i++) {
        deadline = deadline_earlier(run->deadline, deadline_in(PROBE_MS));
        json_object_set_new(healthy, components[i]->name,
                            json_boolean(component_probe(components[i], deadline, NULL) == 0));
    }
    return healthy;
}

static int tab_components(struct run *run, json_t **table, struct error **err)
{
    static const char *const paths[] = {
        "/api/v1/namespaces/kube-system/pods?labelSelector=tier%3Dcontrol-plane",
        "/apis/apps/v1/namespaces/kube-system/deployments",
        "/apis/apps/v1/namespaces/kube-system/daemonsets",
        "/apis/apps/v1/namespaces/kube-system/statefulsets",
    };
    struct api api __attribute__((cleanup(close_api))) = {0};
    json_t *lists[ELEMENTS(paths)] = {NULL};
    int r = open_api(run, &api, err);
    for (size_t i = 0; r == 0 && i < ELEMENTS(paths); i++) {
        r = kube_get(api.kube, paths[i], run->deadline, &lists[i], NULL, err);
    }
    if (r == 0) {
        _cleanup_json_ json_t *healthy = run->role->control_plane ? probe_control_plane(run, api.kube) : NULL;
        *table = components_table(lists[0], healthy, lists[1], lists[2], lists[3]);
    }
    for (size_t i = 0; i < ELEMENTS(lists); i++) {
        json_decref(lists[i]);
    }
    return r;
}

static int tab_certificates(struct run *run, json_t **table, struct error **err)
{
    (void)err;
    struct certificates certificates __attribute__((cleanup(certificates_free)));
    certificates_find(run, &certificates);
    *table = certificates_table(&certificates, time(NULL));
    return 0;
}

/* The address of the client, which has k8s-dashboard; NULL without one, and where the dashboard is off. The master
 * alone knows what add-ons are on. */
static const char *find_dashboard(const struct run *run)
{
    const struct host *client = run->facts->client;
    return client != NULL && addon_file_there(run, "dashboard") ? client->ip : NULL;
}

/* The master has its own for kubeadm; where there is root's, that is the one to show. */
static int tab_kubeconfig(struct run *run, json_t **table, struct error **err)
{
    static const char *const paths[] = {ROOT_KUBECONFIG, ADMIN_KUBECONFIG};
    for (size_t i = 0; i < ELEMENTS(paths); i++) {
        struct kubeconfig config __attribute__((cleanup(kubeconfig_free))) = {0};
        _cleanup_free_ char *path = run_path_followed(run, paths[i]);
        if (kubeconfig_read(path, &config, NULL) == 0) {
            *table = kubeconfig_table(paths[i], &config, find_dashboard(run), time(NULL));
            return 0;
        }
    }
    return error_new(err, STATUS_FILE, "this host has no kubeconfig at %s or %s", paths[0], paths[1]);
}

static const struct {
    const char *name;
    int (*make)(struct run *run, json_t **table, struct error **err);
} tabs[] = {
    {"nodes", tab_nodes},
    {"components", tab_components},
    {"certificates", tab_certificates},
    {"kubeconfig", tab_kubeconfig},
};

int event_tab(struct run *run, struct error **err)
{
    for (size_t i = 0; i < ELEMENTS(tabs); i++) {
        if (run->argument == NULL || strcmp(run->argument, tabs[i].name) != 0) {
            continue;
        }
        _cleanup_json_ json_t *table = NULL;
        if (tabs[i].make(run, &table, err) < 0) {
            return -1;
        }
        (void)json_dumpf(table, stdout, JSON_COMPACT);
        (void)putchar('\n');
        return 0;
    }
    return error_new(err, STATUS_USAGE, "which table? nodes, components, certificates and kubeconfig are known");
}
