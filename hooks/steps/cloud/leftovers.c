#include <string.h>
#include <time.h>

#include "hooks/engine/run.h"
#include "hooks/steps/cloud/leftovers.h"
#include "hooks/steps/cloud/load_balancers.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

#define RECORD "cloud-resources.json"
#define DRIVER "disk.csi.qingcloud.com"

enum { RECORD_S = 10 };

static char *text_at(const json_t *object, const char *a, const char *b)
{
    const json_t *first = json_object_get(object, a);
    return xstrdup(json_text_or(first, b, ""));
}

/* Why the volume stays; NULL: the cluster made it and its claim's policy is to delete it. */
static const char *volume_stays(const json_t *volume)
{
    const json_t *spec = json_object_get(volume, "spec");
    const char *maker = json_text_at(volume, "metadata", "annotations", "pv.kubernetes.io/provisioned-by", NULL);
    if (maker == NULL || strcmp(maker, DRIVER) != 0) {
        return "it was not made by the cluster";
    }
    return strcmp(json_text_or(spec, "persistentVolumeReclaimPolicy", ""), "Delete") == 0
               ? NULL
               : "its reclaim policy is not Delete";
}

static json_t *volumes_of(const json_t *list)
{
    json_t *volumes = json_array();
    size_t i;
    json_t *volume;
    json_array_foreach (json_object_get(list, "items"), i, volume) {
        const char *driver = json_text_at(volume, "spec", "csi", "driver", NULL);
        const char *id = json_text_at(volume, "spec", "csi", "volumeHandle", NULL);
        const json_t *claim = json_object_get(json_object_get(volume, "spec"), "claimRef");
        if (driver == NULL || strcmp(driver, DRIVER) != 0 || id == NULL) {
            continue;
        }
        _cleanup_free_ char *of =
            xasprintf("claim %s/%s", json_text_or(claim, "namespace", "-"), json_text_or(claim, "name", "-"));
        json_array_append_new(volumes, json_pack("{ss ss ss*}", "id", id, "of", of, "stays", volume_stays(volume)));
    }
    return volumes;
}

/* As the cloud controller v1.4.10 names them (pkg/qingcloud/annotations.go). */
static char *balancer_name(const struct run *run, const json_t *service)
{
    _cleanup_free_ char *space = text_at(service, "metadata", "namespace");
    _cleanup_free_ char *name = text_at(service, "metadata", "name");
    _cleanup_free_ char *uid = text_at(service, "metadata", "uid");
    return xasprintf("k8s_lb_%s_%s_%s_%.*s", run->facts->cluster.id, space, name, (int)strcspn(uid, "-"), uid);
}

static json_t *balancers_of(const struct run *run, const json_t *list)
{
    json_t *balancers = json_array();
    size_t i;
    json_t *service;
    json_array_foreach (json_object_get(list, "items"), i, service) {
        _cleanup_free_ char *type = text_at(service, "spec", "type");
        if (strcmp(type, "LoadBalancer") != 0) {
            continue;
        }
        _cleanup_free_ char *space = text_at(service, "metadata", "namespace");
        _cleanup_free_ char *name = text_at(service, "metadata", "name");
        _cleanup_free_ char *of = xasprintf("service %s/%s", space, name);
        const char *own = json_text_at(service, "metadata", "annotations", BALANCER "id", NULL);
        _cleanup_free_ char *balancer = own != NULL ? xstrdup(own) : balancer_name(run, service);
        json_array_append_new(balancers, json_pack("{ss ss ss*}", "id", balancer, "of", of, "stays",
                                                   own != NULL ? "it was not made by the cluster" : NULL));
    }
    return balancers;
}

static int read_cluster(struct run *run, json_t **record, struct error **err)
{
    _cleanup_json_ json_t *volumes = NULL;
    _cleanup_json_ json_t *services = NULL;
    struct deadline deadline = run_deadline(run, RECORD_S);
    if (run_kube(run, err) < 0 || kube_get(run->kube, "/api/v1/persistentvolumes", deadline, &volumes, NULL, err) < 0 ||
        kube_get(run->kube, "/api/v1/services", deadline, &services, NULL, err) < 0) {
        return -1;
    }
    *record = json_pack("{sb sI so so}", "complete", 1, "time", (json_int_t)time(NULL), "volumes", volumes_of(volumes),
                        "load_balancers", balancers_of(run, services));
    return 0;
}

json_t *leftovers_load(const struct run *run)
{
    _cleanup_free_ char *path = run_state_path(run, RECORD);
    json_t *record = NULL;
    (void)file_read_json(path, &record, NULL);
    return record;
}

static int save(const struct run *run, const json_t *record, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, RECORD);
    _cleanup_free_ char *text = json_dumps(record, JSON_INDENT(1));
    return file_put_private(path, text, err);
}

/* Whatever goes wrong, the machine stops. */
static int record_apply(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_json_ json_t *record = NULL;
    _cleanup_error_ struct error *why = NULL;
    if (read_cluster(run, &record, &why) < 0) {
        log_debug("volumes and load balancers are not recorded: %s", why->message);
    } else if (save(run, record, &why) < 0) {
        log_warning("volumes and load balancers are not recorded: %s", why->message);
    }
    return 0;
}

const struct step step_record_cloud_resources = {"record volumes and load balancers", NULL, record_apply, NULL};

bool leftovers_complete(const json_t *record)
{
    return json_is_true(json_object_get(record, "complete"));
}

static int expire_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_json_ json_t *record = leftovers_load(run);
    return !leftovers_complete(record);
}

/* Its names stay, for `destroy` to say what may be left. On a full disk they go too. */
static int expire_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *record = leftovers_load(run);
    _cleanup_free_ char *path = run_state_path(run, RECORD);
    json_object_set_new(record, "complete", json_false());
    return save(run, record, NULL) == 0 ? 0 : file_remove(path, NULL, err);
}

const struct step step_expire_cloud_resources = {"expire the record of volumes and load balancers", expire_done,
                                                 expire_apply, NULL};
