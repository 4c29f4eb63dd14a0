#include "hooks/steps/cloud/load_balancers.h"

#include <string.h>
#include <time.h>

#include "hooks/addons/live_objects.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

#define PRIVATE "internal"
#define ADD_ON "cloud-controller"

static const char reason[] = "written by k8s-hooks: no annotation chose a network, so it is private, in the cluster's "
                             "vxnet; for a public one set " BALANCER "eip-ids";

/* What the cloud controller makes a load balancer of, or finds one by. Its size and its listeners choose no network. */
static const char *const choices[] = {"eip-ids", "eip-source", "eip-strategy", "id", "reuse-id", "vxnet-id"};
static const char *const public_choices[] = {"eip-ids", "eip-source"};

static bool has_any(const json_t *annotations, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *name = xasprintf(BALANCER "%s", names[i]);
        if (json_object_get(annotations, name) != NULL) {
            return true;
        }
    }
    return false;
}

static bool concerns_us(const json_t *service)
{
    const json_t *metadata = json_object_get(service, "metadata");
    const json_t *spec = json_object_get(service, "spec");
    return strcmp(json_text_or(spec, "type", ""), "LoadBalancer") == 0 &&
           json_text(spec, "loadBalancerClass") == NULL && json_object_get(metadata, "deletionTimestamp") == NULL &&
           strcmp(json_text_or(json_object_get(metadata, "annotations"), RECONCILE_ANNOTATION, ""), "disabled") != 0;
}

json_t *load_balancer_annotations(const json_t *service)
{
    if (!concerns_us(service)) {
        return NULL;
    }
    const json_t *annotations = json_object_get(json_object_get(service, "metadata"), "annotations");
    const char *network = json_text(annotations, BALANCER_NETWORK);
    if (network == NULL) {
        return has_any(annotations, choices, ELEMENTS(choices))
                   ? NULL
                   : json_pack("{ss ss}", BALANCER_NETWORK, PRIVATE, BALANCER_MARK, reason);
    }
    bool ours = strcmp(network, PRIVATE) == 0 && json_object_get(annotations, BALANCER_MARK) != NULL;
    return ours && has_any(annotations, public_choices, ELEMENTS(public_choices))
               ? json_pack("{sn sn}", BALANCER_NETWORK, BALANCER_MARK)
               : NULL;
}

static bool wanted(const struct run *run)
{
    return run->conf->addons.enabled && !strv_contains(run->conf->addons.skip, ADD_ON);
}

static int list_services(struct run *run, json_t **services, struct error **err)
{
    _cleanup_json_ json_t *list = NULL;
    if (run_kube(run, err) < 0 ||
        kube_get(run->kube, "/api/v1/services", run_deadline(run, 30), &list, NULL, err) < 0) {
        return -1;
    }
    *services = json_incref(json_object_get(list, "items"));
    return 0;
}

/* `kubectl describe service` shows it. That it cannot be written is no reason to fail. */
static void post_event(struct run *run, const json_t *service, const char *message)
{
    const json_t *metadata = json_object_get(service, "metadata");
    const char *space = json_text_or(metadata, "namespace", "default");
    const char *name = json_text_or(metadata, "name", "");
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/events", space);
    _cleanup_free_ char *prefix = xasprintf("%s.", name);
    char now[sizeof "2013-08-27T14:30:10Z"];
    time_t seconds = time(NULL);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    (void)strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    _cleanup_json_ json_t *event =
        json_pack("{ss ss s{ss ss} s{ss ss ss ss ss*} ss ss ss s{ss} ss ss si}", "apiVersion", "v1", "kind", "Event",
                  "metadata", "generateName", prefix, "namespace", space, "involvedObject", "apiVersion", "v1", "kind",
                  "Service", "namespace", space, "name", name, "uid", json_text(metadata, "uid"), "reason",
                  "LoadBalancerDefault", "message", message, "type", "Normal", "source", "component", "k8s-hooks",
                  "firstTimestamp", now, "lastTimestamp", now, "count", 1);
    _cleanup_error_ struct error *why = NULL;
    if (kube_post(run->kube, path, event, run_deadline(run, 10), NULL, &why) < 0) {
        log_debug("no event for service %s/%s: %s", space, name, why->message);
    }
}

/* With the version that was read: what the user writes meanwhile is not overwritten, and the next run reads it. */
static void annotate(struct run *run, const json_t *service, json_t *annotations)
{
    const json_t *metadata = json_object_get(service, "metadata");
    const char *space = json_text_or(metadata, "namespace", "default");
    const char *name = json_text_or(metadata, "name", "");
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/services/%s", space, name);
    _cleanup_json_ json_t *patch = json_pack("{s{ss* sO}}", "metadata", "resourceVersion",
                                             json_text(metadata, "resourceVersion"), "annotations", annotations);
    _cleanup_error_ struct error *why = NULL;
    bool removed = json_is_null(json_object_get(annotations, BALANCER_NETWORK));
    const char *message =
        removed ? "the default network type is removed: an annotation chooses a public load balancer" : reason;
    if (kube_merge_patch(run->kube, path, patch, run_deadline(run, 10), &why) < 0) {
        log_warning("service %s/%s: its load balancer's network type is not set: %s; `reconcile` tries again", space,
                    name, why->message);
        return;
    }
    log_notice("service %s/%s: " BALANCER_NETWORK " %s", space, name, removed ? "removed" : PRIVATE);
    post_event(run, service, message);
}

static int balancers_done(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *services = NULL;
    if (!wanted(run)) {
        return 1;
    }
    if (list_services(run, &services, err) < 0) {
        return -1;
    }
    size_t i;
    json_t *service;
    json_array_foreach (services, i, service) {
        _cleanup_json_ json_t *annotations = load_balancer_annotations(service);
        if (annotations != NULL) {
            return 0;
        }
    }
    return 1;
}

static int balancers_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *services = NULL;
    if (list_services(run, &services, err) < 0) {
        return -1;
    }
    size_t i;
    json_t *service;
    json_array_foreach (services, i, service) {
        _cleanup_json_ json_t *annotations = load_balancer_annotations(service);
        if (annotations != NULL) {
            annotate(run, service, annotations);
        }
    }
    return 0;
}

const struct step step_default_load_balancers = {"default load balancers to private", balancers_done, balancers_apply,
                                                 NULL};
