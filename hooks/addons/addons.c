#include "hooks/addons/addons.h"

#include <inttypes.h>
#include <string.h>

#include "hooks/addons/addons_files.h"
#include "hooks/addons/addons_state.h"
#include "hooks/addons/cluster_objects.h"
#include "hooks/clients/kubectl.h"
#include "lib/core/logger.h"

enum action { ACTION_NONE, ACTION_APPLY, ACTION_DELETE };

struct item {
    char *name;
    const struct rendered_addon *addon; /* NULL: only a record, of one that a former version of the suite had */
    enum action action;
    json_t *objects; /* of the manifest */
};

struct addons_plan {
    const struct run *run;
    struct rendered_addons addons;
    json_t *state;
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

static void add_records(struct addons_plan *plan)
{
    const char *name = NULL;
    json_t *entry = NULL;
    json_object_foreach (plan->state, name, entry) {
        if (!in_plan(plan, name)) {
            add_item(plan, name, NULL);
        }
    }
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

/* What is recorded as applied but was deleted by someone since must be applied again. */
static int find_lost(const struct addons_plan *plan, json_t **lost, struct error **err)
{
    _cleanup_json_ json_t *expected = json_array();
    for (size_t i = 0; i < plan->n; i++) {
        if (recorded(plan, &plan->items[i])) {
            json_array_extend(expected, plan->items[i].objects);
        }
    }
    return objects_missing(plan->run, expected, lost, err);
}

static bool any_lost(const struct item *item, const json_t *lost)
{
    size_t i = 0;
    json_t *key = NULL;
    json_array_foreach (item->objects, i, key) {
        if (inventory_has(lost, json_string_value(key))) {
            log_notice("add-on %s: %s is gone from the cluster", item->name, json_string_value(key));
            return true;
        }
    }
    return false;
}

static int decide(struct addons_plan *plan, struct error **err)
{
    _cleanup_json_ json_t *lost = NULL;
    if (find_lost(plan, &lost, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < plan->n; i++) {
        struct item *item = &plan->items[i];
        if (is_on(item) && (!recorded(plan, item) || any_lost(item, lost))) {
            item->action = ACTION_APPLY;
        } else if (!is_on(item) && json_object_get(plan->state, item->name) != NULL) {
            item->action = ACTION_DELETE;
        }
    }
    return 0;
}

int addons_plan_make(struct addons_plan **plan, const struct run *run, const json_t *context, struct error **err)
{
    _cleanup_(addons_plan_freep) struct addons_plan *made = xcalloc(1, sizeof *made);
    made->run = run;
    if (addons_render(&made->addons, run->conf, context, false, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < made->addons.n; i++) {
        add_item(made, made->addons.list[i].name, &made->addons.list[i]);
    }
    if (!kubectl_ready(run)) {
        made->state = json_object();
    } else if (addons_state_read(run, &made->state, err) < 0) {
        return -1;
    }
    add_records(made);
    if (decide(made, err) < 0) {
        return -1;
    }
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
    _cleanup_json_ json_t *had = addons_state_objects(plan->state, item->name);
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

void addons_plan_print(const struct addons_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        const struct item *item = &plan->items[i];
        _cleanup_json_ json_t *gone = obsolete(plan, item);
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
        }
    }
    return addons_state_write(plan->run, plan->state, err);
}

static int delete_addon(struct addons_plan *plan, const struct item *item, struct error **err)
{
    int64_t start = clock_ms();
    _cleanup_json_ json_t *gone = obsolete(plan, item);
    if (objects_delete(plan->run, gone, err) < 0 || addon_file_remove(plan->run, item->name, err) < 0) {
        return -1;
    }
    json_object_del(plan->state, item->name);
    if (addons_state_write(plan->run, plan->state, err) < 0) {
        return -1;
    }
    log_timed(LOG_LEVEL_INFO, clock_ms() - start, "add-on %s: off, %zu objects deleted", item->name,
              json_array_size(gone));
    return 0;
}

static int apply_addon(struct addons_plan *plan, const struct item *item, struct error **err)
{
    int64_t start = clock_ms();
    _cleanup_json_ json_t *gone = obsolete(plan, item);
    if (manifest_apply(plan->run, &item->addon->manifest, err) < 0 || objects_delete(plan->run, gone, err) < 0 ||
        addon_file_write(plan->run, item->addon, NULL, err) < 0) {
        return -1;
    }
    addons_state_set(plan->state, item->name, item->addon->hash, json_incref(item->objects));
    if (addons_state_write(plan->run, plan->state, err) < 0) {
        return -1;
    }
    log_timed(LOG_LEVEL_INFO, clock_ms() - start, "add-on %s: %zu objects applied, %zu deleted", item->name,
              item->addon->manifest.n, json_array_size(gone));
    return 0;
}

static int carry_out_item(struct addons_plan *plan, struct item *item, struct error **err)
{
    int r = item->action == ACTION_DELETE ? delete_addon(plan, item, err) : apply_addon(plan, item, err);
    if (r < 0) {
        return error_wrap(err, "add-on %s", item->name);
    }
    item->action = ACTION_NONE;
    return 0;
}

int addons_plan_carry_out(struct addons_plan *plan, struct error **err)
{
    if (addons_plan_empty(plan)) {
        return 0;
    }
    if (record_intent(plan, err) < 0) {
        return -1;
    }
    for (size_t i = plan->n; i-- > 0;) {
        if (plan->items[i].action == ACTION_DELETE && carry_out_item(plan, &plan->items[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < plan->n; i++) {
        if (plan->items[i].action == ACTION_APPLY && carry_out_item(plan, &plan->items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}
