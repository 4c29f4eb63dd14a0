#include "tests/lab/lab/cluster/scenario.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "lib/system/file.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/lab/cluster/scenario_values.h"
#include "tests/lab/lab/cluster/script.h"
#include "tests/lab/lab/form/locale.h"
#include "tests/lab/lab/image/image.h"
#include "tests/lab/lab/machine/network.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/lab/record/record.h"

/* Of a `run`, unless `timeout` says otherwise: nothing is expected to take so long, also where much else runs. */
enum { RUN_S = 600 };

struct tap {
    int count, failed;
};

static void tap_line(struct tap *tap, bool ok, const char *scenario, const char *what, const struct error *why)
{
    tap->count++;
    tap->failed += !ok;
    printf("%s %d - %s: ", ok ? "ok" : "not ok", tap->count, scenario);
    for (; *what != '\0'; what++) {
        printf("%s%c", *what == '#' ? "\\" : "", *what); /* TAP reads directives behind a bare # */
    }
    (void)putchar('\n');
    if (!ok && why != NULL) {
        _cleanup_free_ char *text = xstrdup(why->message);
        char *place = NULL;
        for (char *line = strtok_r(text, "\n", &place); line != NULL; line = strtok_r(NULL, "\n", &place)) {
            printf("# %s\n", line);
        }
    }
    (void)fflush(stdout);
}

/* @name@: what was kept, or MACHINE.ip, .instance_id, .node_id, or cluster_id. NULL when it is none of these. */
static const char *lookup(const struct scenario *s, const char *name)
{
    const char *kept = json_text(s->kept, name);
    if (kept != NULL) {
        return kept;
    }
    if (strcmp(name, "cluster_id") == 0) {
        return s->lab->cluster_id;
    }
    const char *dot = strchr(name, '.');
    _cleanup_free_ char *machine = xstrndup(name, dot == NULL ? 0 : (size_t)(dot - name));
    const struct machine *m = dot == NULL ? NULL : lab_find(s->lab, machine, NULL);
    if (m == NULL) {
        return NULL;
    }
    return strcmp(dot, ".ip") == 0            ? m->ip
           : strcmp(dot, ".instance_id") == 0 ? m->instance_id
           : strcmp(dot, ".node_id") == 0     ? m->node_id
                                              : NULL;
}

static char *replaced(const struct scenario *s, const char *line)
{
    struct buffer out = {0};
    buffer_puts(&out, "");
    while (*line != '\0') {
        const char *end = *line == '@' ? strchr(line + 1, '@') : NULL;
        _cleanup_free_ char *name = end == NULL ? NULL : xstrndup(line + 1, (size_t)(end - line - 1));
        const char *value = name == NULL ? NULL : lookup(s, name);
        if (value != NULL) {
            buffer_puts(&out, value);
            line = end + 1;
        } else {
            buffer_append(&out, line++, 1);
        }
    }
    return out.data;
}

/* "fails N ACTION": the action must end with that status. */
static int fails(struct scenario *s, char *arguments, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    long status = 0;
    if (!str_number(next_word(&arguments), 1, 255, &status)) {
        return error_new(err, STATUS_USAGE, "fails STATUS ACTION");
    }
    const struct action *action = action_find(next_word(&arguments));
    if (action == NULL || action->kind != ACTION_STEP) {
        return error_new(err, STATUS_USAGE, "fails STATUS ACTION: no such action");
    }
    if (action->run(s, arguments, &why) == 0) {
        return error_new(err, STATUS_FAILED, "it succeeded");
    }
    proc_result_free(&s->last);
    s->last = (struct proc_result){.status = (int)why->status, .output = xstrdup(""), .tail = xstrdup(why->message)};
    s->status = (int)why->status;
    return why->status == status ? 0 : error_new(err, why->status, "status %d: %s", (int)why->status, why->message);
}

/* One line. False when the scenario cannot go on. */
static bool run_line(struct scenario *s, struct tap *tap, const char *line)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *text = replaced(s, line);
    char *arguments = text;
    char *name = next_word(&arguments);
    const struct action *action = action_find(name);
    bool failing = strcmp(name, "fails") == 0;
    int r;
    if (failing) {
        r = fails(s, arguments, &err);
    } else if (action == NULL) {
        r = error_new(&err, STATUS_USAGE, "no action '%s'", name);
    } else {
        struct record *record = action->kind == ACTION_STEP ? record_begin(s->lab, NULL, name) : NULL;
        r = action->run(s, arguments, &err);
        (void)record_result(record, r, &err);
    }
    if (r != 0 || failing || (action != NULL && action->kind != ACTION_QUIET)) {
        tap_line(tap, r == 0, s->name, line, err);
    }
    return r == 0 || (action != NULL && action->kind == ACTION_EXPECT && !interrupted());
}

static bool header(const char *line)
{
    return str_starts(line, "uses:") || str_starts(line, "leaves:") || str_starts(line, "about:") ||
           str_starts(line, "takes:") || str_starts(line, "by-hand:");
}

static bool run_lines(struct scenario *s, struct tap *tap)
{
    int before = tap->failed;
    for (s->line = 0; s->lines[s->line] != NULL; s->line++) {
        const char *line = s->lines[s->line] + strspn(s->lines[s->line], " \t");
        if (*line == '\0' || *line == '#' || header(line)) {
            continue;
        }
        if (!run_line(s, tap, line)) {
            return false;
        }
    }
    return tap->failed == before;
}

static void scenario_free(struct scenario *s)
{
    free(s->name);
    strv_free(s->lines);
    json_decref(s->values);
    json_decref(s->kept);
    proc_result_free(&s->last);
}

static int scenario_load(struct scenario *s, const struct lab *lab, const char *name, struct error **err)
{
    static const char *const roles[] = {"master", "node", "ssd_node", "log", "client"};
    _cleanup_free_ char *script = xasprintf("%s/tests/e2e/%s/scenario", lab->source, name);
    _cleanup_free_ char *values = xasprintf("%s/tests/e2e/%s/values.json", lab->source, name);
    json_error_t why;
    *s = (struct scenario){.name = xstrdup(name), .kept = json_object(), .timeout_s = RUN_S};
    if (script_load(lab, script, &s->lines, err) != 0) {
        return -1;
    }
    s->values = json_load_file(values, 0, &why);
    if (s->values == NULL) {
        return error_new(err, STATUS_FILE, "%s:%d: %s", values, why.line, why.text);
    }
    size_t n = 0;
    for (size_t i = 0; i < ELEMENTS(roles); i++) {
        int count = (int)json_integer_value(json_object_get(json_object_get(s->values, "counts"), roles[i]));
        if (count > 0) {
            s->counts[n++] = (struct role_count){roles[i], count};
        }
    }
    return 0;
}

static bool has_header(const struct scenario *s, const char *text)
{
    for (char **line = s->lines; *line != NULL; line++) {
        if (strcmp(*line, text) == 0) {
            return true;
        }
    }
    return false;
}

/* The order in which all are run: who leaves a cluster, who uses it, and those that want their own. */
enum place { LEAVES, USES, OWN, PLACES };

static enum place place_of(const struct scenario *s)
{
    return has_header(s, "leaves: shared") ? LEAVES : has_header(s, "uses: shared") ? USES : OWN;
}

static const char *profile_of(const struct scenario *s)
{
    const char *profile = json_text(s->values, "profile");
    return profile == NULL ? "product" : profile;
}

/* A lab with nothing in it, for the scenario's values. */
static int lab_renew(struct lab *lab, const struct scenario *s, struct error **err)
{
    struct lab *fresh = NULL;
    network_leave();
    if ((lab_exists(lab) && lab_down(lab, err) != 0) || lab_open(&fresh, lab->name, err) != 0) {
        return -1;
    }
    fresh->package = json_incref(lab->package);
    fresh->locale = json_incref(lab->locale);
    fresh->form = json_incref(lab->form);
    struct lab old = *lab;
    *lab = *fresh;
    *fresh = old;
    lab_free(fresh);
    package_env(lab->package, lab->env);
    json_object_update(lab->env, json_object_get(s->values, "env"));
    json_object_update(lab->links, json_object_get(s->values, "metadata"));
    free(lab->profile);
    lab->profile = xstrdup(profile_of(s));
    free(lab->zone);
    lab->zone = xstrdup(json_text_or(s->values, "zone", LAB_ZONE));
    return lab_save(lab, err) == 0 ? image_make(lab, KUBERNETES_VERSION, err) : -1;
}

/* *THERE are the values of the cluster that is up and in order, or NULL. */
static int run_scenario(struct lab *lab, const char *name, json_t **there, bool reuse, struct tap *tap,
                        struct error **err)
{
    _cleanup_(scenario_free) struct scenario s = {0};
    if (scenario_load(&s, lab, name, err) != 0) {
        return -1;
    }
    if (strcmp(profile_of(&s), "product") == 0 && !image_has_product(lab)) {
        printf("ok %d - %s # SKIP no release manifests: set UPSTREAM to their directory\n", ++tap->count, name);
        return 0;
    }
    s.reused = reuse || (place_of(&s) == USES && *there != NULL && json_equal(*there, s.values) == 1);
    if ((s.reused ? network_enter(lab, err) : lab_renew(lab, &s, err)) != 0) {
        return -1;
    }
    s.lab = lab;
    bool good = run_lines(&s, tap);
    json_decref(*there);
    *there = good && place_of(&s) != OWN ? json_incref(s.values) : NULL;
    return interrupt_check(err);
}

static int is_scenario(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && entry->d_type == DT_DIR;
}

static char **all_names(const struct lab *lab)
{
    _cleanup_free_ char *dir = path_join(lab->source, "tests/e2e");
    struct dirent **entries = NULL;
    char **names = xcalloc(1, sizeof *names);
    int n = scandir(dir, &entries, is_scenario, alphasort);
    for (int place = LEAVES; place < PLACES; place++) {
        for (int i = 0; i < n; i++) {
            _cleanup_(scenario_free) struct scenario s = {0};
            if (scenario_load(&s, lab, entries[i]->d_name, NULL) == 0 && place_of(&s) == (enum place)place) {
                strv_push(&names, entries[i]->d_name);
            }
        }
    }
    for (int i = 0; i < n; i++) {
        free(entries[i]);
    }
    free(entries);
    return names;
}

/* Before the first cluster is made: a scenario whose values no user can enter proves nothing. */
static int check_all(const struct lab *lab, char *const *names, struct error **err)
{
    const struct form form = {lab->form, lab->locale, locale_language()};
    for (; *names != NULL; names++) {
        _cleanup_(scenario_free) struct scenario s = {0};
        _cleanup_free_ char *path = xasprintf("tests/e2e/%s/values.json", *names);
        _cleanup_free_ char *file = xasprintf("%s/tests/e2e/%s/scenario", lab->source, *names);
        if (access(file, R_OK) != 0) {
            return error_new(err, STATUS_USAGE, "no scenario '%s': there is no %s", *names, file);
        }
        if (scenario_load(&s, lab, *names, err) != 0 || scenario_values_check(&form, path, s.values, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int scenarios_run(struct lab *lab, char *const *names, bool keep, bool reuse, struct error **err)
{
    _cleanup_strv_ char **all = *names == NULL ? all_names(lab) : NULL;
    struct tap tap = {0};
    json_t *there = NULL;
    if (check_all(lab, all == NULL ? names : all, err) != 0) {
        return -1;
    }
    int r = 0;
    for (char *const *name = all == NULL ? names : all; r == 0 && *name != NULL; name++) {
        r = run_scenario(lab, *name, &there, reuse && lab->created && name == (all == NULL ? names : all), &tap, err);
    }
    json_decref(there);
    printf("1..%d\n", tap.count);
    if (!keep && lab_exists(lab) && lab_down(lab, r == 0 ? err : NULL) != 0) {
        r = -1;
    }
    if (r == 0 && tap.failed > 0) {
        r = error_new(err, STATUS_FAILED,
                      "%d of %d expectations failed: `lab e2e --keep NAME` leaves the cluster of one", tap.failed,
                      tap.count);
    }
    return r;
}
