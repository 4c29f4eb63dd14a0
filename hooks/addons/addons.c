#include "hooks/addons/addons.h"

#include <inttypes.h>
#include <string.h>

#include "hooks/addons/addons_files.h"
#include "hooks/addons/addons_inventory.h"
#include "hooks/addons/addons_state.h"
#include "hooks/addons/cluster_objects.h"
#include "hooks/addons/live_objects.h"
#include "hooks/clients/kubectl.h"
#include "hooks/engine/run.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

enum action { ACTION_NONE, ACTION_APPLY, ACTION_DELETE };

struct item {
    char *name;
    const struct rendered_addon *addon; /* NULL: only a record, of one that a former version of the suite had */
    enum action action;
    bool recorded;   /* as applied in its present form, before this plan changes anything */
    json_t *objects; /* of the manifest */
};

struct addons_plan {
    const struct run *run;
    struct rendered_addons addons;
    json_t *state;      /* the cluster's record */
    json_t *inventory;  /* this master's */
    json_t *live;       /* what is there of all that they and the manifests name */
    struct item *items; /* in the order of applying */
    size_t n;
};

void addons_plan_free(struct addons_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (size_t i = 0; i < plan->n; i++) {
        free(plan->items[i].name);
        json_decref(plan->items[i].objects);
    }
    free(plan->items);
    json_decref(plan->state);
    json_decref(plan->inventory);
    json_decref(plan->live);
    rendered_addons_free(&plan->addons);
    free(plan);
}

void addons_plan_freep(struct addons_plan **plan)
{
    addons_plan_free(*plan);
    *plan = NULL;
}

static void add_item(struct addons_plan *plan, const char *name, const struct rendered_addon *addon)
{
    plan->items = xrealloc(plan->items, (plan->n + 1) * sizeof *plan->items);
    plan->items[plan->n++] = (struct item){
        .name = xstrdup(name),
        .addon = addon,
        .objects = addon != NULL ? inventory_of(&addon->manifest) : json_array(),
    };
}

static bool in_plan(const struct addons_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (strcmp(plan->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Add-ons that a former version of the suite had, by the cluster's record or this master's. */
static void add_records(struct addons_plan *plan, json_t *record)
{
    const char *name = NULL;
    json_t *entry = NULL;
    json_object_foreach (record, name, entry) {
        if (!in_plan(plan, name)) {
            add_item(plan, name, NULL);
        }
    }
}

/* What may be there on the add-on's account, by either record. */
static json_t *recorded_objects(const struct addons_plan *plan, const char *name)
{
    _cleanup_json_ json_t *cluster = addons_state_objects(plan->state, name);
    _cleanup_json_ json_t *own = addons_inventory_objects(plan->inventory, name);
    return inventory_union(own, cluster);
}

static bool is_on(const struct item *item)
{
    return item->addon != NULL && item->addon->on;
}

/* Without the text that was applied no difference to it could be shown: it is applied again. */
static bool recorded(const struct addons_plan *plan, const struct item *item)
{
    return is_on(item) && strcmp(addons_state_hash(plan->state, item->name), item->addon->hash) == 0 &&
           addon_file_same(plan->run, item->addon);
}

/* Programs of an add-on write their own certificate into these. */
static bool others_write(const char *key)
{
    return strstr(key, "WebhookConfiguration ") != NULL;
}

/* An object that is as it should be may still be a user's, who deleted ours and made another of the name, or one that a
 * user wants left alone. */
static bool left_alone(const json_t *object)
{
    return live_object_is(object, "exempt") || !live_object_is(object, "ours");
}

/* Whether an object that was applied is not as it was: deleted, or a field that is ours changed or removed. */
static bool strayed(const struct addons_plan *plan, const struct item *item, const char *key, bool report)
{
    const json_t *object = live_object(plan->live, key);
    if (object == NULL) {
        if (report) {
            log_notice("add-on %s: %s is gone from the cluster", item->name, key);
        }
        return true;
    }
    const char *was = addons_inventory_owned(plan->inventory, item->name, key);
    const char *is = json_text(object, "owned");
    if (left_alone(object) || live_object_is(object, "deleting") || others_write(key) || strcmp(was, is) == 0) {
        return false;
    }
    if (report && *was != '\0') {
        log_notice("add-on %s: %s was changed by others", item->name, key);
    }
    return true;
}

static bool any_strayed(const struct addons_plan *plan, const struct item *item, bool report)
{
    bool any = false;
    size_t i = 0;
    json_t *key = NULL;
    json_array_foreach (item->objects, i, key) {
        any = strayed(plan, item, json_string_value(key), report) || any;
    }
    return any;
}

static void decide(struct addons_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        struct item *item = &plan->items[i];
        item->recorded = recorded(plan, item);
        if (is_on(item) && (!item->recorded || any_strayed(plan, item, false))) {
            item->action = ACTION_APPLY;
        } else if (!is_on(item) && (json_object_get(plan->state, item->name) != NULL ||
                                    json_object_get(plan->inventory, item->name) != NULL)) {
            item->action = ACTION_DELETE;
        }
    }
}

static int read_cluster(struct addons_plan *plan, struct run *run, struct error **err)
{
    if (!kubectl_ready(run)) {
        plan->state = json_object();
        plan->live = json_object();
        return 0;
    }
    if (run_kube(run, err) < 0 || addons_state_read(run, &plan->state, err) < 0) {
        return -1;
    }
    add_records(plan, plan->state);
    add_records(plan, plan->inventory);
    _cleanup_json_ json_t *keys = json_array();
    for (size_t i = 0; i < plan->n; i++) {
        _cleanup_json_ json_t *had = recorded_objects(plan, plan->items[i].name);
        json_array_extend(keys, plan->items[i].objects);
        json_array_extend(keys, had);
    }
    return live_objects_read(run, keys, &plan->live, err);
}

int addons_plan_make(struct addons_plan **plan, struct run *run, const json_t *context, struct error **err)
{
    _cleanup_(addons_plan_freep) struct addons_plan *made = xcalloc(1, sizeof *made);
    made->run = run;
    if (addons_render(&made->addons, run->conf, context, false, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < made->addons.n; i++) {
        add_item(made, made->addons.list[i].name, &made->addons.list[i]);
    }
    if (addons_inventory_read(run, &made->inventory, err) < 0 || read_cluster(made, run, err) < 0) {
        return -1;
    }
    decide(made);
    *plan = STEAL(made);
    return 0;
}

bool addons_plan_empty(const struct addons_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (plan->items[i].action != ACTION_NONE) {
            return false;
        }
    }
    return true;
}

/* Recorded objects of the add-on that no add-on holds any more. */
static json_t *obsolete(const struct addons_plan *plan, const struct item *item)
{
    _cleanup_json_ json_t *had = recorded_objects(plan, item->name);
    json_t *gone = json_array();
    size_t i = 0;
    json_t *key = NULL;
    json_array_foreach (had, i, key) {
        bool held = !json_is_string(key);
        for (size_t j = 0; j < plan->n && !held; j++) {
            held = inventory_has(plan->items[j].objects, json_string_value(key));
        }
        if (!held) {
            json_array_append(gone, key);
        }
    }
    return gone;
}

/* Why an obsolete object is not deleted; NULL when it is. */
static const char *reason_to_keep(const struct addons_plan *plan, const char *key)
{
    const json_t *object = live_object(plan->live, key);
    if (!live_object_is(object, "ours")) {
        return "k8s-hooks did not create it";
    }
    if (!addons_inventory_has(plan->inventory, key)) {
        return "this master has no record of having created it";
    }
    return live_object_is(object, "exempt") ? "its annotation " RECONCILE_ANNOTATION " requires it"
           : live_object_is(object, "kept") ? "its annotation " KEEP_ANNOTATION " requires it"
                                            : NULL;
}

/* The cluster's record alone deletes nothing: whoever may edit ConfigMaps can write any object into it. */
static json_t *deletable(const struct addons_plan *plan, const struct item *item, bool report)
{
    _cleanup_json_ json_t *gone = obsolete(plan, item);
    json_t *ours = json_array();
    size_t i = 0;
    json_t *key = NULL;
    json_array_foreach (gone, i, key) {
        if (live_object(plan->live, json_string_value(key)) == NULL) {
            continue;
        }
        const char *reason = reason_to_keep(plan, json_string_value(key));
        if (reason == NULL) {
            json_array_append(ours, key);
        } else if (report) {
            log_warning("add-on %s: %s is not deleted: %s", item->name, json_string_value(key), reason);
        }
    }
    return ours;
}

void addons_plan_print(const struct addons_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        const struct item *item = &plan->items[i];
        _cleanup_json_ json_t *gone = deletable(plan, item, false);
        if (item->action == ACTION_APPLY) {
            printf("  add-on %s: %zu objects are applied, %zu deleted\n", item->name, json_array_size(item->objects),
                   json_array_size(gone));
        } else if (item->action == ACTION_DELETE) {
            printf("  add-on %s: off, %zu objects are deleted\n", item->name, json_array_size(gone));
        }
    }
}

/* Before the first change: all that can be there from now on. */
static int record_intent(struct addons_plan *plan, struct error **err)
{
    for (size_t i = 0; i < plan->n; i++) {
        const struct item *item = &plan->items[i];
        if (item->action != ACTION_NONE) {
            _cleanup_json_ json_t *had = addons_state_objects(plan->state, item->name);
            addons_state_set(plan->state, item->name, "", inventory_union(item->objects, had));
            addons_inventory_add(plan->inventory, item->name, item->objects);
        }
    }
    return addons_inventory_write(plan->run, plan->inventory, err) < 0
               ? -1
               : addons_state_write(plan->run, plan->state, err);
}

static int delete_addon(struct addons_plan *plan, const struct item *item, struct error **err)
{
    int64_t start = clock_ms();
    _cleanup_json_ json_t *gone = deletable(plan, item, true);
    if (objects_delete(plan->run, gone, err) < 0 || addon_file_remove(plan->run, item->name, err) < 0) {
        return -1;
    }
    json_object_del(plan->state, item->name);
    json_object_del(plan->inventory, item->name);
    if (addons_state_write(plan->run, plan->state, err) < 0 ||
        addons_inventory_write(plan->run, plan->inventory, err) < 0) {
        return -1;
    }
    log_timed(LOG_LEVEL_INFO, clock_ms() - start, "add-on %s: off, %zu objects deleted", item->name,
              json_array_size(gone));
    return 0;
}

/* What of the add-on is applied: the texts are borrowed from it, and the caller frees the list of them alone. */
static struct manifest to_apply(const struct addons_plan *plan, const struct item *item)
{
    const struct manifest *all = &item->addon->manifest;
    struct manifest some = {.documents = xcalloc(all->n + 1, sizeof *some.documents)};
    for (size_t i = 0; i < all->n; i++) {
        _cleanup_free_ char *key = object_key(&all->documents[i].object);
        const json_t *object = live_object(plan->live, key);
        bool leave = object != NULL && (item->recorded ? left_alone(object) : live_object_is(object, "exempt"));
        if (leave) {
            log_info("add-on %s: %s is left as it is", item->name, key);
        } else {
            some.documents[some.n++] = all->documents[i];
        }
    }
    return some;
}

static int record_applied(struct addons_plan *plan, const struct item *item, struct error **err)
{
    _cleanup_json_ json_t *live = NULL;
    if (live_objects_read(plan->run, item->objects, &live, err) < 0 ||
        addon_file_write(plan->run, item->addon, NULL, err) < 0) {
        return -1;
    }
    addons_inventory_set(plan->inventory, item->name, item->objects, live);
    addons_state_set(plan->state, item->name, item->addon->hash, json_incref(item->objects));
    return addons_inventory_write(plan->run, plan->inventory, err) < 0
               ? -1
               : addons_state_write(plan->run, plan->state, err);
}

static int apply_addon(struct addons_plan *plan, const struct item *item, struct error **err)
{
    int64_t start = clock_ms();
    _cleanup_json_ json_t *gone = deletable(plan, item, true);
    if (item->recorded) {
        (void)any_strayed(plan, item, true);
    }
    struct manifest manifest = to_apply(plan, item);
    size_t n = manifest.n;
    int r = manifest_apply(plan->run, &manifest, plan->live, err);
    free(manifest.documents);
    if (r < 0 || objects_delete(plan->run, gone, err) < 0 || record_applied(plan, item, err) < 0) {
        return -1;
    }
    log_timed(LOG_LEVEL_INFO, clock_ms() - start, "add-on %s: %zu objects applied, %zu deleted", item->name, n,
              json_array_size(gone));
    return 0;
}

static int apply_item(struct addons_plan *plan, struct item *item, struct error **err)
{
    int r = item->action == ACTION_DELETE ? delete_addon(plan, item, err) : apply_addon(plan, item, err);
    if (r < 0) {
        return error_wrap(err, "add-on %s", item->name);
    }
    item->action = ACTION_NONE;
    return 0;
}

int addons_plan_apply(struct addons_plan *plan, struct error **err)
{
    if (addons_plan_empty(plan)) {
        return 0;
    }
    if (record_intent(plan, err) < 0) {
        return -1;
    }
    for (size_t i = plan->n; i-- > 0;) {
        if (plan->items[i].action == ACTION_DELETE && apply_item(plan, &plan->items[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < plan->n; i++) {
        if (plan->items[i].action == ACTION_APPLY && apply_item(plan, &plan->items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}
