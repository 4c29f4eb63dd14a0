#include "hooks/steps/machine/file_actions.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/files/files.h"
#include "lib/core/logger.h"

/* Actions that are owed: written before the files that need them, so that a killed reload is taken up by the next. An
 * object whose keys are names of actions. */
#define PENDING "reload.json"

static int pending_load(const struct run *run, json_t **pending, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, PENDING);
    _cleanup_free_ char *text = NULL;
    _cleanup_error_ struct error *why = NULL;
    size_t len = 0;
    if (file_read(path, 0, &text, &len, &why) < 0) {
        *pending = json_object();
        return errno == ENOENT ? 0 : error_move(err, &why);
    }
    *pending = json_loadb(text, len, 0, NULL);
    if (!json_is_object(*pending)) {
        return error_new(err, STATUS_FILE, "%s does not hold the pending actions of reload any more: remove it", path);
    }
    return 0;
}

static int pending_save(const struct run *run, const json_t *pending, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, PENDING);
    if (json_object_size(pending) == 0) {
        return file_remove(path, NULL, err);
    }
    _cleanup_free_ char *text = json_dumps(pending, JSON_INDENT(2) | JSON_SORT_KEYS);
    return file_put_private(path, text, err);
}

static void pending_add(const struct run *run, const struct reload_action *actions, bool local, json_t *pending)
{
    for (const struct reload_action *action = actions; action->name != NULL; action++) {
        for (size_t i = 0; (local || action->cluster) && i < run->rendered->n_files; i++) {
            const struct rendered_file *file = &run->rendered->files[i];
            if (file->differs && strv_contains(file->conf->on_change, action->name)) {
                json_object_set_new(pending, action->name, json_true());
            }
        }
    }
}

/* Only the master changes the cluster, and only when it can be queried: its API server is the kubelet's. */
static int cluster_up(struct run *run, struct error **err)
{
    static const char *const needed[] = {ADMIN_KUBECONFIG, STATIC_PODS "/kube-apiserver.yaml"};
    for (size_t i = 0; i < ELEMENTS(needed); i++) {
        _cleanup_free_ char *path = run_path(run, needed[i]);
        if (access(path, F_OK) < 0) {
            return 0;
        }
    }
    return run_units(run, err) < 0 ? -1 : unit_active(run->units, "kubelet.service", err);
}

static int apply_action(struct run *run, const struct reload_action *action, json_t *pending, struct error **err)
{
    int64_t start = clock_ms();
    int up = action->cluster ? cluster_up(run, err) : 1;
    if (up == 0) {
        log_notice("%s: deferred to `start`, as the API server is down", action->name);
        return 0;
    }
    if (up < 0 || run_goes_on(run, err) < 0 || action->apply(run, err) < 0) {
        return error_wrap(err, "%s", action->name);
    }
    log_timed(LOG_LEVEL_INFO, clock_ms() - start, "%s: done", action->name);
    json_object_del(pending, action->name);
    return pending_save(run, pending, err);
}

/* All that can be done is done: one that fails stays recorded, and the first failure is the result. */
static int apply_actions(struct run *run, const struct reload_action *actions, bool local, json_t *pending,
                         struct error **err)
{
    _cleanup_error_ struct error *first = NULL;
    for (const struct reload_action *action = actions; action->name != NULL; action++) {
        _cleanup_error_ struct error *failure = NULL;
        if (json_object_get(pending, action->name) == NULL || (local && action->cluster) ||
            apply_action(run, action, pending, &failure) == 0) {
            continue;
        }
        bool stop = failure->status == STATUS_INTERRUPTED || deadline_left(run->deadline) == 0;
        if (first == NULL) {
            first = STEAL(failure);
        } else {
            log_warning("%s", failure->message);
        }
        if (stop) {
            break;
        }
    }
    return first == NULL ? 0 : error_move(err, &first);
}

/* Names that another version of the suite left and this one does not know. */
static void pending_prune(const struct reload_action *actions, json_t *pending)
{
    const char *name;
    void *next;
    json_t *value;
    json_object_foreach_safe(pending, next, name, value)
    {
        bool known = false;
        for (const struct reload_action *action = actions; action->name != NULL; action++) {
            known = known || strcmp(action->name, name) == 0;
        }
        if (!known) {
            json_object_del(pending, name);
        }
    }
}

static int preview(struct run *run, const struct reload_action *actions, const json_t *pending, size_t changed,
                   struct error **err)
{
    if (changed == 0 && json_object_size(pending) == 0) {
        log_notice("nothing changed: nothing to do");
        return 0;
    }
    for (const struct reload_action *action = actions; action->name != NULL; action++) {
        if (json_object_get(pending, action->name) != NULL) {
            printf("would do: %s\n", action->name);
        }
    }
    int result = files_preview(run, err);
    for (const struct reload_action *action = actions; action->name != NULL && result == 0; action++) {
        if (action->preview != NULL && json_object_get(pending, action->name) != NULL) {
            result = action->preview(run, err);
        }
    }
    return result;
}

/* What no file shows; *added is how much that is. */
static int pending_add_due(struct run *run, const struct reload_action *actions, json_t *pending, size_t *added,
                           struct error **err)
{
    size_t before = json_object_size(pending);
    for (const struct reload_action *action = actions; action->name != NULL; action++) {
        int due = action->due == NULL ? 0 : action->cluster ? cluster_up(run, err) : 1;
        if (due > 0) {
            due = action->due(run, err);
        }
        if (due < 0) {
            return error_wrap(err, "%s", action->name);
        }
        if (due > 0) {
            json_object_set_new(pending, action->name, json_true());
        }
    }
    *added = json_object_size(pending) - before;
    return 0;
}

/* After the files: what their changes brought down may be what must be queried here. */
static int apply_due(struct run *run, const struct reload_action *actions, json_t *pending, bool touched,
                     struct error **err)
{
    size_t added = 0;
    if (pending_add_due(run, actions, pending, &added, err) < 0) {
        return -1;
    }
    if (added > 0) {
        return pending_save(run, pending, err) < 0 ? -1 : apply_actions(run, actions, false, pending, err);
    }
    if (!touched) {
        log_notice("nothing changed: nothing to do");
    }
    return 0;
}

int reload(struct run *run, const struct reload_action *actions, struct error **err)
{
    _cleanup_json_ json_t *pending = NULL;
    size_t changed = 0;
    if (!files_there(run)) {
        log_notice("neither init nor start has prepared this system yet: nothing to reload");
        return 0;
    }
    if (files_compare(run, &changed, err) < 0 || pending_load(run, &pending, err) < 0) {
        return -1;
    }
    size_t owed = json_object_size(pending);
    pending_prune(actions, pending);
    pending_add(run, actions, true, pending);
    if (run->dry_run || run->diff) {
        return pending_add_due(run, actions, pending, &owed, err) < 0 ? -1
                                                                      : preview(run, actions, pending, changed, err);
    }
    if (owed > 0) {
        log_notice("continuing with what an earlier reload left to do");
    }
    bool touched = changed > 0 || owed > 0;
    if (touched && (pending_save(run, pending, err) < 0 || files_write(run, err) < 0 ||
                    apply_actions(run, actions, false, pending, err) < 0)) {
        return -1;
    }
    return apply_due(run, actions, pending, touched, err);
}

int reload_files(struct run *run, const struct reload_action *actions, struct error **err)
{
    _cleanup_json_ json_t *pending = NULL;
    if (files_compare(run, NULL, err) < 0 || pending_load(run, &pending, err) < 0) {
        return -1;
    }
    pending_add(run, actions, files_there(run), pending);
    if (pending_save(run, pending, err) < 0 || files_apply(run, err) < 0) {
        return -1;
    }
    return apply_actions(run, actions, true, pending, err);
}

int reload_settle(struct run *run, const struct reload_action *actions, struct error **err)
{
    _cleanup_json_ json_t *pending = NULL;
    return pending_load(run, &pending, err) < 0 ? -1 : apply_actions(run, actions, false, pending, err);
}

int reload_due(struct run *run, const struct reload_action *actions, struct error **err)
{
    _cleanup_json_ json_t *pending = NULL;
    size_t changed = 0;
    size_t due = 0;
    if (!files_there(run)) {
        return 0;
    }
    if (files_compare(run, &changed, err) < 0 || pending_load(run, &pending, err) < 0) {
        return -1;
    }
    if (changed > 0 || json_object_size(pending) > 0) {
        return 1;
    }
    return pending_add_due(run, actions, pending, &due, err) < 0 ? -1 : due > 0;
}

int reload_owed(const struct run *run, const struct reload_action *actions, bool local, struct error **err)
{
    _cleanup_json_ json_t *pending = NULL;
    if (pending_load(run, &pending, err) < 0) {
        return -1;
    }
    for (const struct reload_action *action = actions; action->name != NULL; action++) {
        if (json_object_get(pending, action->name) != NULL && !(local && action->cluster)) {
            return 1;
        }
    }
    return 0;
}
