#include <string.h>

#include "app/cloud/cloud.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cloud/leftovers.h"
#include "hooks/steps/steps.h"
#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

/* Both kinds are advanced in turns of a few seconds, so that neither waits for the other: a detached volume or a load
 * balancer takes the cloud up to a minute, and a slow answer up to CALL_S. What the cloud refuses is tried again until
 * DELETE_S are over. */
enum { DELETE_S = 180, LIST_MS = 30000, CALL_MS = 15000, TURN_MS = 2000, POLL_MS = 500, POLL_LONGEST_MS = 12000 };

static const char *const kinds[] = {LEFTOVERS_VOLUMES, LEFTOVERS_BALANCERS};

struct kind {
    bool volume;
    json_t *pending; /* copies of the record's items, with "why": why it is still there */
    size_t next;     /* where the next turn begins */
};

struct deletion {
    struct run *run;
    struct cloud *cloud;
    struct deadline deadline;
    struct kind kinds[ELEMENTS(kinds)];
    bool moved;         /* in this round one was deleted, or the cloud accepted a call */
    struct buffer left; /* what could not be deleted, for the error */
};

static void deletion_clear(struct deletion *d)
{
    for (size_t k = 0; k < ELEMENTS(kinds); k++) {
        json_decref(d->kinds[k].pending);
    }
    cloud_free(d->cloud);
    buffer_free(&d->left);
}

static struct deadline within(const struct deletion *d, int ms)
{
    return deadline_earlier(d->deadline, deadline_in(ms));
}

static int describe_volumes(struct deletion *d, const json_t *pending, json_t **list, struct error **err)
{
    _cleanup_strv_ char **ids = NULL;
    size_t i;
    json_t *item;
    json_array_foreach (pending, i, item) {
        strv_push(&ids, json_text_or(item, "id", ""));
    }
    const struct cloud_list volumes = {"DescribeVolumes", "volume_set", "volumes", ids, NULL};
    return cloud_describe(d->cloud, &volumes, within(d, LIST_MS), list, err);
}

/* There is no filter by name. */
static int describe_balancers(struct deletion *d, json_t **list, struct error **err)
{
    static const struct cloud_parameter present[] = {{"status.1", "pending"},
                                                     {"status.2", "active"},
                                                     {"status.3", "stopped"},
                                                     {"status.4", "suspended"},
                                                     {NULL, NULL}};
    const struct cloud_list balancers = {"DescribeLoadBalancers", "loadbalancer_set", NULL, NULL, present};
    return cloud_describe(d->cloud, &balancers, within(d, LIST_MS), list, err);
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

static void set_why(json_t *item, const char *why)
{
    json_object_set_new(item, "why", json_string(why));
}

static void leave(struct deletion *d, const json_t *item)
{
    buffer_printf(&d->left, " %s of %s: %s;", json_text_or(item, "id", ""), json_text_or(item, "of", ""),
                  json_text_or(item, "why", "it is still there"));
}

/* True: ITEM is tried again. */
static bool refused(struct deletion *d, json_t *item, const struct error *why)
{
    /* a call that the deadline cut says less than the one before */
    if (deadline_left(d->deadline) > 0 || json_text(item, "why") == NULL) {
        set_why(item, why->message);
    }
    log_debug("%s of %s: %s", json_text_or(item, "id", ""), json_text_or(item, "of", ""), why->message);
    return why->status != STATUS_CLOUD_KEY;
}

/* The instance that a volume must be detached from first; NULL: none. */
static const char *instance_of(const json_t *entry)
{
    return strcmp(json_text_or(entry, "status", ""), "in-use") == 0
               ? json_text_or(json_object_get(entry, "instance"), "instance_id", "")
               : NULL;
}

/* One call towards the end: detach, then delete. False, with *WHY, where the cloud refuses it. */
static bool call_next(struct deletion *d, bool volume, const json_t *entry, struct error **why)
{
    const char *id = json_text_or(entry, volume ? "volume_id" : "loadbalancer_id", "");
    const char *instance = volume ? instance_of(entry) : NULL;
    const struct cloud_parameter of[] = {{volume ? "volumes.1" : "loadbalancers.1", id}, {"instance", instance}};
    const char *action = !volume ? "DeleteLoadBalancers" : instance != NULL ? "DetachVolumes" : "DeleteVolumes";
    _cleanup_json_ json_t *answer = NULL;
    return cloud_call(d->cloud, action, of, instance != NULL ? 2 : 1, within(d, CALL_MS), &answer, why) == 0;
}

/* One step further with ITEM, which the cloud has as ENTRY. False: it cannot be deleted. */
static bool advance(struct deletion *d, bool volume, const json_t *entry, json_t *item)
{
    const char *transition = json_text_or(entry, "transition_status", "");
    const char *instance = volume ? instance_of(entry) : NULL;
    _cleanup_error_ struct error *why = NULL;
    _cleanup_free_ char *state = NULL;
    if (!str_empty(transition)) {
        state = xasprintf("it is still %s", transition);
    } else if (instance != NULL && !of_this_cluster(d->run, instance)) {
        state = xasprintf("it is attached to %s, which is not of this cluster", instance);
        set_why(item, state);
        return false;
    } else if (call_next(d, volume, entry, &why)) {
        state = xasprintf("the cloud has not %s it yet", instance != NULL ? "detached" : "deleted");
        d->moved = true;
    } else {
        return refused(d, item, why);
    }
    set_why(item, state);
    return true;
}

/* True: ITEM is done with: gone, or left. */
static bool handle(struct deletion *d, bool volume, const json_t *list, json_t *item)
{
    const json_t *entry = find(list, volume, json_text_or(item, "id", ""));
    if (entry == NULL) {
        log_notice("%s of %s is not in the cloud any more", json_text_or(item, "id", ""), json_text_or(item, "of", ""));
        d->moved = true;
        return true;
    }
    if (advance(d, volume, entry, item)) {
        return false;
    }
    leave(d, item);
    return true;
}

static void refuse_all(struct deletion *d, struct kind *kind, const struct error *why)
{
    for (size_t i = json_array_size(kind->pending); i-- > 0;) {
        json_t *item = json_array_get(kind->pending, i);
        if (!refused(d, item, why)) {
            leave(d, item);
            json_array_remove(kind->pending, i);
        }
    }
}

/* Goes on with the pending ones of KIND where the last turn ended, with each once at most. */
static void take_turn(struct deletion *d, struct kind *kind)
{
    _cleanup_json_ json_t *list = NULL;
    _cleanup_error_ struct error *why = NULL;
    size_t n = json_array_size(kind->pending);
    if (n == 0) {
        return;
    }
    if ((kind->volume ? describe_volumes(d, kind->pending, &list, &why) : describe_balancers(d, &list, &why)) < 0) {
        refuse_all(d, kind, why);
        return;
    }
    for (struct deadline turn = within(d, TURN_MS); n > 0 && deadline_left(turn) > 0; n--) {
        kind->next = kind->next < json_array_size(kind->pending) ? kind->next : 0;
        if (handle(d, kind->volume, list, json_array_get(kind->pending, kind->next))) {
            json_array_remove(kind->pending, kind->next);
        } else {
            kind->next++;
        }
    }
}

static size_t count_pending(const struct deletion *d)
{
    size_t n = 0;
    for (size_t k = 0; k < ELEMENTS(kinds); k++) {
        n += json_array_size(d->kinds[k].pending);
    }
    return n;
}

/* Turn by turn until nothing is pending or the deadline has passed; what is left then is named. The pauses grow while
 * nothing moves: the user's quota is 2000 calls an hour. */
static void delete_all(struct deletion *d)
{
    for (int pause = POLL_MS; count_pending(d) > 0;) {
        d->moved = false;
        for (size_t k = 0; k < ELEMENTS(kinds); k++) {
            take_turn(d, &d->kinds[k]);
        }
        if (count_pending(d) > 0 && run_pause(pause, d->deadline, NULL) < 0) {
            break;
        }
        pause = d->moved ? POLL_MS : pause < POLL_LONGEST_MS / 2 ? 2 * pause : POLL_LONGEST_MS;
    }
    for (size_t k = 0; k < ELEMENTS(kinds); k++) {
        size_t i;
        json_t *item;
        json_array_foreach (d->kinds[k].pending, i, item) {
            leave(d, item);
        }
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
            json_array_append_new(pending, json_deep_copy(item));
        } else {
            log_notice("%s of %s stays: %s", json_text_or(item, "id", ""), json_text_or(item, "of", ""), stays);
        }
    }
    return pending;
}

static bool recorded(const json_t *record, const char *id)
{
    for (size_t k = 0; k < ELEMENTS(kinds); k++) {
        size_t i;
        json_t *item;
        json_array_foreach (json_object_get(record, kinds[k]), i, item) {
            if (strcmp(json_text_or(item, "id", ""), id) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* By what the cluster's controllers name and attach: the cloud controller v1.4.10 puts the cluster's id in a load
 * balancer's name, csi-provisioner calls a volume pvc-UID. Nothing says whose a volume is that no instance has. */
static void name_unrecorded(const struct run *run, const json_t *record, const json_t *list, bool volume)
{
    _cleanup_free_ char *prefix = volume ? xstrdup("pvc-") : xasprintf("k8s_lb_%s_", run->facts->cluster.id);
    size_t i;
    json_t *entry;
    json_array_foreach (list, i, entry) {
        const char *name = json_text_or(entry, volume ? "volume_name" : "loadbalancer_name", "");
        const char *id = json_text_or(entry, volume ? "volume_id" : "loadbalancer_id", "");
        const char *instance = volume ? instance_of(entry) : NULL;
        if (str_starts(name, prefix) && (instance == NULL || of_this_cluster(run, instance)) &&
            !recorded(record, volume ? id : name)) {
            log_notice("%s (%s) may be left%s", id, name,
                       volume && instance == NULL ? ", of this cluster or another: no instance has it" : "");
        }
    }
}

/* What nobody recorded is looked for in the cloud; where that does not answer, `destroy` goes on. */
static void name_what_the_cloud_has(struct run *run, const json_t *record)
{
    static const struct cloud_parameter present[] = {{"status.1", "in-use"}, {"status.2", "available"}, {NULL, NULL}};
    static const struct cloud_list volumes = {"DescribeVolumes", "volume_set", NULL, NULL, present};
    const struct cloud_account account = cloud_account_of(run->facts);
    _cleanup_(deletion_clear) struct deletion d = {.run = run, .deadline = run_deadline(run, LIST_MS / 1000)};
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *of_volumes = NULL;
    _cleanup_json_ json_t *of_balancers = NULL;
    if (cloud_open(&d.cloud, &account, &err) < 0 || describe_balancers(&d, &of_balancers, &err) < 0 ||
        cloud_describe(d.cloud, &volumes, d.deadline, &of_volumes, &err) < 0) {
        log_notice("cannot list in the cloud what may be left of the cluster: %s", err->message);
    }
    name_unrecorded(run, record, of_balancers, false);
    name_unrecorded(run, record, of_volumes, true);
}

static void name_what_may_be_left(struct run *run, const json_t *record)
{
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
    name_what_the_cloud_has(run, record);
}

static int delete_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *record = leftovers_load(run);
    if (!leftovers_complete(record)) {
        name_what_may_be_left(run, record);
        return 0;
    }
    const struct cloud_account account = cloud_account_of(run->facts);
    _cleanup_(deletion_clear) struct deletion d = {.run = run, .deadline = run_deadline(run, DELETE_S)};
    if (cloud_open(&d.cloud, &account, err) < 0) {
        return -1;
    }
    for (size_t k = 0; k < ELEMENTS(kinds); k++) {
        d.kinds[k] = (struct kind){.volume = k == 0, .pending = deletable(record, kinds[k])};
    }
    delete_all(&d);
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
    _cleanup_json_ json_t *record = leftovers_load(run);
    bool complete = leftovers_complete(record);
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
