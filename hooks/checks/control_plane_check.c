#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/checks/checks.h"
#include "hooks/clients/etcd.h"
#include "hooks/clients/static_pods.h"
#include "hooks/engine/run.h"

static const char no_manifest[] = "run `revive`, which writes the static pod's manifest again";

/* The finding is made when the kubelet has no manifest to start NAME from. */
static bool manifest_missing(const struct run *run, const char *name, struct finding *finding)
{
    _cleanup_free_ char *file = xasprintf(STATIC_PODS "/%s.yaml", name);
    _cleanup_free_ char *path = run_path(run, file);
    if (access(path, R_OK) == 0) {
        return false;
    }
    finding_fails(finding, no_manifest, "%s is missing", file);
    return true;
}

static void probe_component(const struct check_context *context, const struct component *component,
                            struct finding *finding)
{
    static const char remedy[] = "run `revive`, or see `docker ps -a` for it and its `docker logs`";
    struct error *err = NULL;
    if (manifest_missing(context->run, component->name, finding)) {
        return;
    }
    if (component_probe(component, context->deadline, &err) < 0) {
        finding_error(finding, remedy, err);
    } else {
        finding_ok(finding, "%s is healthy", component->name);
    }
}

static void probe_scheduler(const struct check_context *context, struct finding *finding)
{
    probe_component(context, &component_scheduler, finding);
}

static void probe_controller_manager(const struct check_context *context, struct finding *finding)
{
    probe_component(context, &component_controller_manager, finding);
}

enum { PER_CENT = 100, MIB_BITS = 20 };

void etcd_size_find(const struct etcd_size *size, const struct check_limits *limits, struct finding *finding)
{
    static const char remedy[] = "run `k8s-master compact-etcd`; then look for what writes so much";
    long used = (long)(size->file * PER_CENT / size->quota);
    _cleanup_free_ char *text =
        xasprintf("etcd's database has %lld MiB, %ld %% of its quota of %lld MiB", (long long)(size->file >> MIB_BITS),
                  used, (long long)(size->quota >> MIB_BITS));
    if (used >= limits->fail) {
        finding_fails(finding, remedy, "%s: at 100 %% every write is refused", text);
    } else if (used >= limits->warn) {
        finding_warns(finding, remedy, "%s", text);
    } else {
        finding_ok(finding, "etcd is healthy; %s", text + strlen("etcd's "));
    }
}

static void probe_etcd(const struct check_context *context, struct finding *finding)
{
    static const char remedy[] =
        "see `docker ps -a` for etcd and its `docker logs`; run `k8s-master compact-etcd` when "
        "it is out of space";
    struct error *err = NULL;
    struct etcd_size size;
    const struct check_limits limits = context->limits;
    if (context->run->facts->etcd_linked) {
        finding_ok(finding, "etcd is a linked app, which has its own health check");
        return;
    }
    if (manifest_missing(context->run, "etcd", finding)) {
        return;
    }
    if (etcd_health(ETCD_METRICS, context->deadline, &err) < 0 ||
        etcd_size(ETCD_METRICS, context->deadline, &size, &err) < 0) {
        finding_error(finding, remedy, err);
    } else {
        etcd_size_find(&size, &limits, finding);
    }
}

const struct check check_scheduler = {.name = "scheduler", .severity = FAILS, .probe = probe_scheduler};
const struct check check_controller_manager = {
    .name = "controller-manager", .severity = FAILS, .probe = probe_controller_manager};
const struct check check_etcd = {
    .name = "etcd", .severity = FAILS, .limits = {.warn = 75, .fail = 95}, .probe = probe_etcd};
