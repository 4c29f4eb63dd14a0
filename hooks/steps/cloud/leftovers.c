#include <string.h>
#include <time.h>

#include "app/cloud/cloud.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cloud/load_balancers.h"
#include "hooks/steps/steps.h"
#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

/* AppCenter deletes the machines of a cluster that is deleted, and knows nothing of the volumes and load balancers that
 * its controllers made. `destroy` runs after `stop`, when no API server can be asked, so `stop` records what there is.
 * The record holds until the cluster starts again, also for a second `stop`, which finds no API server. Only what such
 * a record names is deleted: without one, or with one from before a start, nothing is. */

#define RECORD "cloud-resources.json"
#define DRIVER "disk.csi.qingcloud.com"

enum { RECORD_S = 10, DELETE_S = 180, POLL_MS = 1500 };

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

static json_t *load(const struct run *run)
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

static bool is_complete(const json_t *record)
{
    return json_is_true(json_object_get(record, "complete"));
}

static int expire_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_json_ json_t *record = load(run);
    return !is_complete(record);
}

/* Its names stay, for `destroy` to say what may be left. On a full disk they go too. */
static int expire_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *record = load(run);
    _cleanup_free_ char *path = run_state_path(run, RECORD);
    json_object_set_new(record, "complete", json_false());
    return save(run, record, NULL) == 0 ? 0 : file_remove(path, NULL, err);
}

const struct step step_expire_cloud_resources = {"expire the record of volumes and load balancers", expire_done,
                                                 expire_apply, NULL};

struct deletion {
    struct run *run;
    struct cloud *cloud;
    struct deadline deadline;
    struct buffer left; /* what could not be deleted, for the error */
};

static void deletion_clear(struct deletion *deletion)
{
    cloud_free(deletion->cloud);
    buffer_free(&deletion->left);
}

/* What the cloud has of the PENDING volumes, or load balancers, which have no filter by name. */
static int describe(struct deletion *d, bool volume, const json_t *pending, json_t **list, struct error **err)
{
    _cleanup_strv_ char **ids = NULL;
    _cleanup_json_ json_t *all = json_array();
    size_t i;
    json_t *item;
    json_array_foreach (pending, i, item) {
        const struct cloud_parameter word[] = {{"search_word", json_text_or(item, "id", "")}, {NULL, NULL}};
        const struct cloud_list balancers = {"DescribeLoadBalancers", "loadbalancer_set", NULL, NULL, word};
        _cleanup_json_ json_t *found = NULL;
        strv_push(&ids, word[0].value);
        if (!volume && cloud_describe(d->cloud, &balancers, d->deadline, &found, err) < 0) {
            return -1;
        }
        json_array_extend(all, found);
    }
    const struct cloud_list volumes = {"DescribeVolumes", "volume_set", "volumes", ids, NULL};
    if (volume) {
        return cloud_describe(d->cloud, &volumes, d->deadline, list, err);
    }
    *list = STEAL(all);
    return 0;
}

/* The one of LIST with that ID that is not deleted, borrowed. */
static const json_t *find(const json_t *list, bool volume, const char *id)
{
    size_t i;
    json_t *entry;
    json_array_foreach (list, i, entry) {
        const char *status = json_text_or(entry, "status", "");
        const char *name = json_text_or(entry, volume ? "volume_id" : "loadbalancer_name", "");
        if (strcmp(name, id) == 0 && strcmp(status, "deleted") != 0 && strcmp(status, "ceased") != 0) {
            return entry;
        }
    }
    return NULL;
}

static bool of_this_cluster(const struct run *run, const char *instance)
{
    for (size_t i = 0; i < run->facts->n_hosts; i++) {
        if (strcmp(run->facts->hosts[i].instance_id, instance) == 0) {
            return true;
        }
    }
    return false;
}

static int call(struct deletion *d, const char *action, const struct cloud_parameter *parameters, size_t n,
                struct error **err)
{
    _cleanup_json_ json_t *answer = NULL;
    return cloud_call(d->cloud, action, parameters, n, d->deadline, &answer, err);
}

/* One call towards the end: detach, then delete. *ERR stays NULL where the state of ENTRY needs none now. */
static void advance(struct deletion *d, bool volume, const json_t *entry, struct error **err)
{
    const char *status = json_text_or(entry, "status", "");
    if (!str_empty(json_text_or(entry, "transition_status", ""))) {
        return;
    }
    if (!volume) {
        const struct cloud_parameter of[] = {{"loadbalancers.1", json_text_or(entry, "loadbalancer_id", "")}};
        (void)call(d, "DeleteLoadBalancers", of, 1, err);
        return;
    }
    const char *id = json_text_or(entry, "volume_id", "");
    const char *instance = json_text_or(json_object_get(entry, "instance"), "instance_id", "");
    if (strcmp(status, "available") == 0) {
        const struct cloud_parameter of[] = {{"volumes.1", id}};
        (void)call(d, "DeleteVolumes", of, 1, err);
    } else if (strcmp(status, "in-use") == 0 && of_this_cluster(d->run, instance)) {
        const struct cloud_parameter of[] = {{"instance", instance}, {"volumes.1", id}};
        (void)call(d, "DetachVolumes", of, 2, err);
    } else if (strcmp(status, "in-use") == 0) {
        error_new(err, STATUS_CLOUD_UNREACHABLE, "it is attached to %s, which is not of this cluster", instance);
    }
}

/* What the cluster made, in a new list; what stays is named. */
static json_t *deletable(const json_t *record, const char *kind)
{
    json_t *pending = json_array();
    size_t i;
    json_t *item;
    json_array_foreach (json_object_get(record, kind), i, item) {
        const char *stays = json_text(item, "stays");
        if (stays == NULL) {
            json_array_append(pending, item);
        } else {
            log_notice("%s of %s stays: %s", json_text_or(item, "id", ""), json_text_or(item, "of", ""), stays);
        }
    }
    return pending;
}

static void leave(struct deletion *d, const json_t *item, const struct error *why)
{
    buffer_printf(&d->left, " %s of %s: %s;", json_text_or(item, "id", ""), json_text_or(item, "of", ""), why->message);
}

/* One step further with each of PENDING; what is gone or cannot be deleted is taken out. */
static void advance_all(struct deletion *d, bool volume, json_t *pending)
{
    _cleanup_json_ json_t *list = NULL;
    _cleanup_error_ struct error *unanswered = NULL;
    int answered = describe(d, volume, pending, &list, &unanswered);
    for (size_t i = json_array_size(pending); i-- > 0;) {
        const json_t *item = json_array_get(pending, i);
        const json_t *entry = answered < 0 ? NULL : find(list, volume, json_text_or(item, "id", ""));
        _cleanup_error_ struct error *why = NULL;
        if (entry != NULL) {
            advance(d, volume, entry, &why);
        }
        if (answered < 0 || why != NULL) {
            leave(d, item, answered < 0 ? unanswered : why);
        } else if (entry == NULL) {
            log_notice("%s of %s is not in the cloud any more", json_text_or(item, "id", ""),
                       json_text_or(item, "of", ""));
        }
        if (entry == NULL || why != NULL) {
            json_array_remove(pending, i);
        }
    }
}

static void each(const json_t *record, const char *kind, struct deletion *d)
{
    _cleanup_json_ json_t *pending = deletable(record, kind);
    while (json_array_size(pending) > 0) {
        _cleanup_error_ struct error *late = NULL;
        advance_all(d, strcmp(kind, "volumes") == 0, pending);
        if (json_array_size(pending) > 0 && run_pause(POLL_MS, d->deadline, &late) < 0) {
            for (size_t i = 0; i < json_array_size(pending); i++) {
                leave(d, json_array_get(pending, i), late);
            }
            return;
        }
    }
}

static void name_what_may_be_left(const json_t *record)
{
    static const char *const kinds[] = {"volumes", "load_balancers"};
    log_warning(
        "the cluster could not be read when it stopped: volumes and load balancers that it made are not deleted; "
        "delete on the console what you do not need");
    for (size_t k = 0; k < ELEMENTS(kinds); k++) {
        size_t i;
        json_t *item;
        json_array_foreach (json_object_get(record, kinds[k]), i, item) {
            log_notice("%s of %s may be left", json_text_or(item, "id", ""), json_text_or(item, "of", ""));
        }
    }
}

static int delete_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *record = load(run);
    if (!is_complete(record)) {
        name_what_may_be_left(record);
        return 0;
    }
    const struct cloud_account account = cloud_account_of(run->facts);
    _cleanup_(deletion_clear) struct deletion d = {.run = run, .deadline = run_deadline(run, DELETE_S)};
    if (cloud_open(&d.cloud, &account, err) < 0) {
        return -1;
    }
    each(record, "load_balancers", &d);
    each(record, "volumes", &d);
    if (d.left.len == 0) {
        return 0;
    }
    if (interrupt_check(err) < 0) {
        return -1;
    }
    if (run->force) {
        log_warning("left in the cloud:%s delete them on the console", d.left.data);
        return 0;
    }
    return error_new(err, STATUS_CLOUD_UNREACHABLE,
                     "left in the cloud:%s delete the cluster again, or force it and delete them on the console",
                     d.left.data);
}

static int delete_preview(struct run *run, struct error **err)
{
    (void)err;
    static const char *const kinds[] = {"volumes", "load_balancers"};
    _cleanup_json_ json_t *record = load(run);
    bool complete = is_complete(record);
    for (size_t k = 0; k < ELEMENTS(kinds); k++) {
        size_t i;
        json_t *item;
        json_array_foreach (json_object_get(record, kinds[k]), i, item) {
            bool deleted = complete && json_text(item, "stays") == NULL;
            printf("  %s %s of %s\n", deleted ? "delete" : "leave", json_text_or(item, "id", ""),
                   json_text_or(item, "of", ""));
        }
    }
    return 0;
}

const struct step step_delete_cloud_resources = {"delete volumes and load balancers", NULL, delete_apply,
                                                 delete_preview};
