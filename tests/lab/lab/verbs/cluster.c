/* What changes a cluster that is there. */
#include <stdio.h>
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/lab/cluster/appcenter.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/lab/cluster/scenario.h"
#include "tests/lab/lab/form/form.h"
#include "tests/lab/lab/form/locale.h"
#include "tests/lab/lab/image/image.h"
#include "tests/lab/lab/machine/host.h"
#include "tests/lab/lab/machine/services.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/lab/verbs/counts.h"
#include "tests/lab/lab/verbs/verb.h"

static struct form form_of(const struct lab *lab)
{
    return (struct form){lab->form, lab->locale, locale_language()};
}

static char *env_key(const char *key)
{
    return str_starts(key, "env.") ? xstrdup(key) : xasprintf("env.%s", key);
}

int verb_set(struct lab *lab, char **argv, struct error **err)
{
    const struct form form = form_of(lab);
    size_t n = strv_length(argv);
    if (n == 0 || n % 2 != 0) {
        return error_new(err, STATUS_USAGE, "set KEY VALUE [KEY VALUE...]");
    }
    if (need_cluster(lab, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i += 2) {
        _cleanup_free_ char *key = env_key(argv[i]);
        if (form_check(&form, key, argv[i + 1], true, err) != 0) {
            return error_wrap(err, "nothing was changed");
        }
    }
    for (size_t i = 0; i + 2 < n; i += 2) {
        _cleanup_free_ char *key = env_key(argv[i]);
        json_object_set_new(lab->env, key + strlen("env."), json_string(argv[i + 1]));
    }
    _cleanup_free_ char *last = env_key(argv[n - 2]);
    return appcenter_set(lab, last + strlen("env."), argv[n - 1], err);
}

static int check_added(const struct lab *lab, const struct role_count *counts, struct error **err)
{
    const struct form form = form_of(lab);
    for (const struct role_count *c = counts; c->role != NULL; c++) {
        if (appcenter_scales(lab, c->role, err) != 0 ||
            form_check_count(&form, c->role, (long)lab_count(lab, c->role) + c->count, err) != 0) {
            return error_wrap(err, "nothing was added");
        }
    }
    return 0;
}

int verb_add(struct lab *lab, char **argv, struct error **err)
{
    bool unchecked = take_option(&argv, "--unchecked");
    _cleanup_free_ struct role_count *counts = counts_parse(lab->form, argv, err);
    if (counts == NULL) {
        return -1;
    }
    size_t most = 0;
    for (const struct role_count *c = counts; c->role != NULL; c++) {
        most += (size_t)c->count;
    }
    if (most == 0) {
        return error_new(err, STATUS_USAGE, "add ROLE=N...: at least one machine");
    }
    return need_cluster(lab, err) == 0 && (unchecked || check_added(lab, counts, err) == 0)
               ? appcenter_add(lab, counts, err)
               : -1;
}

/* Each role of the machines NAMES must have as many left as the form allows. */
static int check_left(const struct lab *lab, char *const *names, struct error **err)
{
    const struct form form = form_of(lab);
    for (char *const *name = names; *name != NULL; name++) {
        const struct machine *m = lab_find(lab, *name, err);
        long left = m == NULL ? 0 : (long)lab_count(lab, m->role);
        for (char *const *other = names; m != NULL && *other != NULL; other++) {
            const struct machine *leaving = lab_find(lab, *other, NULL);
            left -= leaving != NULL && strcmp(leaving->role, m->role) == 0;
        }
        if (m == NULL || appcenter_scales(lab, m->role, err) != 0 || form_check_count(&form, m->role, left, err) != 0) {
            return error_wrap(err, "nothing was deleted");
        }
    }
    return 0;
}

int verb_delete(struct lab *lab, char **argv, struct error **err)
{
    bool force = false;
    bool unchecked = false;
    for (bool more = true; more;) {
        bool f = take_option(&argv, "--force");
        bool u = take_option(&argv, "--unchecked");
        force = force || f;
        unchecked = unchecked || u;
        more = f || u;
    }
    if (*argv == NULL) {
        return error_new(err, STATUS_USAGE, "delete [--force] MACHINE...");
    }
    return need_cluster(lab, err) == 0 && (unchecked || check_left(lab, argv, err) == 0)
               ? appcenter_delete(lab, argv, force, err)
               : -1;
}

int verb_delete_cluster(struct lab *lab, char **argv, struct error **err)
{
    bool force = take_option(&argv, "--force");
    return take_end(argv, err) == 0 && need_cluster(lab, err) == 0 ? appcenter_delete_cluster(lab, force, err) : -1;
}

int verb_stop(struct lab *lab, char **argv, struct error **err)
{
    return take_end(argv, err) == 0 && need_cluster(lab, err) == 0 ? appcenter_stop(lab, err) : -1;
}

int verb_start(struct lab *lab, char **argv, struct error **err)
{
    bool off = false;
    for (size_t i = 0; i < lab->n_machines; i++) {
        off = off || !process_alive(&lab->machines[i]->leader);
    }
    if (take_end(argv, err) != 0) {
        return -1;
    }
    return off ? appcenter_start(lab, err)
               : error_new(err, STATUS_USAGE,
                           "all machines of lab %s are running: `lab restart` restarts their services", lab->name);
}

int verb_restart(struct lab *lab, char **argv, struct error **err)
{
    return take_end(argv, err) == 0 && need_cluster(lab, err) == 0 ? appcenter_restart(lab, err) : -1;
}

int verb_resize(struct lab *lab, char **argv, struct error **err)
{
    const struct form form = form_of(lab);
    const char *role = *argv;
    if (role == NULL || argv[1] == NULL) {
        return error_new(err, STATUS_USAGE, "resize ROLE cpu=N memory=N volume_size=N: at least one of them");
    }
    if (!counts_has_role(lab->form, role) || lab_count(lab, role) == 0) {
        return error_new(err, STATUS_USAGE, "lab %s has no machine of the role '%s'", lab->name, role);
    }
    _cleanup_json_ json_t *values = json_deep_copy(lab->values);
    for (argv++; *argv != NULL; argv++) {
        _cleanup_free_ char *assignment = xasprintf("cluster.%s.%s", role, *argv);
        if (str_starts(*argv, "count=")) {
            return error_new(err, STATUS_USAGE, "the count changes with `lab add` and `lab delete`");
        }
        if (form_enter(&form, values, assignment, false, err) != 0) {
            return error_wrap(err, "nothing was changed");
        }
    }
    if (need_cluster(lab, err) != 0) {
        return -1;
    }
    json_decref(lab->values);
    lab->values = STEAL(values);
    return lab_save(lab, err) == 0 ? appcenter_resize(lab, role, err) : -1;
}

/* The lab builds any patch release from Debian's source package, which has one minor release. */
static int check_version(const char *version, struct error **err)
{
    const char usual[] = KUBERNETES_VERSION;
    size_t minor = (size_t)(strrchr(usual, '.') - usual) + 1;
    long patch = 0;
    return strncmp(version, usual, minor) == 0 && str_number(version + minor, 0, 99, &patch)
               ? 0
               : error_new(err, STATUS_USAGE, "'%s': %.*sN is required, which is what Debian's source package has",
                           version, (int)minor, usual);
}

int verb_upgrade(struct lab *lab, char **argv, struct error **err)
{
    bool back = take_option(&argv, "--back");
    const char *version = *argv;
    if (version == NULL) {
        return error_new(err, STATUS_USAGE, "upgrade [--back] VERSION, as v1.20.3");
    }
    return take_end(argv + 1, err) == 0 && check_version(version, err) == 0 && need_cluster(lab, err) == 0
               ? appcenter_upgrade(lab, version, !back, err)
               : -1;
}

/* EVENT with ARGUMENT on every machine whose role has it, one after the other; what it prints is printed. */
static int run_everywhere(struct lab *lab, const char *event, const char *argument, struct error **err)
{
    bool any = false;
    for (size_t i = 0; i < lab->n_machines; i++) {
        struct service service;
        _cleanup_proc_ struct proc_result result = {0};
        if (!package_service(lab->package, lab->machines[i]->role, event, &service)) {
            continue;
        }
        any = true;
        struct task *task = progress_begin(NULL, "%s: %s", lab->machines[i]->name, event);
        int r = service_run(lab, lab->machines[i], event, argument, &result, err);
        progress_end(task, r == 0, NULL);
        if (print_result(lab->machines[i], event, r, &result, err) != 0) {
            return -1;
        }
    }
    return any ? 0 : error_new(err, STATUS_USAGE, "no role of the app package has the service %s", event);
}

static int backup_event(struct lab *lab, char **argv, const char *event, struct error **err)
{
    _cleanup_json_ json_t *argument = json_object();
    if (*argv != NULL && strchr(*argv, '=') == NULL) {
        json_object_set_new(argument, "name", json_string(*argv++));
    }
    for (; *argv != NULL; argv++) {
        const char *equals = strchr(*argv, '=');
        if (equals == NULL) {
            return error_new(err, STATUS_USAGE, "%s [NAME] [KEY=VALUE...]", event);
        }
        _cleanup_free_ char *key = xstrndup(*argv, (size_t)(equals - *argv));
        json_object_set_new(argument, key, json_string(equals + 1));
    }
    _cleanup_free_ char *text = json_object_size(argument) == 0 ? NULL : json_dumps(argument, JSON_COMPACT);
    if (text != NULL && strchr(text, '\'') != NULL) {
        return error_new(err, STATUS_USAGE, "no value may have a single quote");
    }
    return need_cluster(lab, err) == 0 ? run_everywhere(lab, event, text, err) : -1;
}

int verb_backup(struct lab *lab, char **argv, struct error **err)
{
    return backup_event(lab, argv, "backup", err);
}

int verb_restore(struct lab *lab, char **argv, struct error **err)
{
    return backup_event(lab, argv, "restore", err);
}

int verb_e2e(struct lab *lab, char **argv, struct error **err)
{
    bool reuse = take_option(&argv, "--reuse");
    bool keep = reuse || take_option(&argv, "--keep");
    return host_check_own(err) != 0 ? -1 : scenarios_run(lab, argv, keep, reuse, err);
}

int verb_down(struct lab *lab, char **argv, struct error **err)
{
    return take_end(argv, err) == 0 ? lab_down(lab, err) : -1;
}
