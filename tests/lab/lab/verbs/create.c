/* image, up, create, demo: what begins with no lab. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "lib/system/file.h"
#include "tests/lab/lab/cluster/app.h"
#include "tests/lab/lab/cluster/appcenter.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/lab/form/form.h"
#include "tests/lab/lab/form/locale.h"
#include "tests/lab/lab/image/image.h"
#include "tests/lab/lab/machine/cgroup.h"
#include "tests/lab/lab/machine/host.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/counts.h"
#include "tests/lab/lab/verbs/verb.h"

static const char usual[] = "master=1 node=1 log=2 client=1";

/* What the user wants, from the arguments. */
struct wanted {
    json_t *values;
    const char *confd; /* directory for /etc/confd; NULL: the image's alone */
    bool unchecked;
    bool counts; /* some were named */
};

static void wanted_free(struct wanted *wanted)
{
    json_decref(wanted->values);
}

static int read_values(const char *path, json_t *values, struct error **err)
{
    json_error_t why;
    _cleanup_json_ json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (file == NULL) {
        return why.line < 1 ? error_new(err, STATUS_USAGE, "%s", why.text)
                            : error_new(err, STATUS_USAGE, "%s:%d: %s", path, why.line, why.text);
    }
    if (!json_is_object(file)) {
        return error_new(err, STATUS_USAGE, "%s: not an object such as {\"env\": {\"max_pods\": 80}}", path);
    }
    json_object_update_recursive(values, file);
    return 0;
}

static int check_confd(const char *directory, const char **confd, struct error **err)
{
    _cleanup_free_ char *resources = path_join(directory, "conf.d");
    *confd = directory;
    return access(resources, R_OK) == 0
               ? 0
               : error_errno(err, STATUS_USAGE, errno, "--confd %s: its conf.d and templates are wanted; reading %s",
                             directory, resources);
}

static int take_wanted(const struct form *form, char **argv, struct wanted *wanted, struct error **err)
{
    const char *value = NULL;
    wanted->values = json_object();
    while (*argv != NULL) {
        if (take_option(&argv, "--unchecked")) {
            wanted->unchecked = true;
            continue;
        }
        if (take_value(&argv, "--confd", &value, err) != 0 ||
            (value != NULL && check_confd(value, &wanted->confd, err) != 0)) {
            return -1;
        }
        if (value != NULL) {
            continue;
        }
        if (take_value(&argv, "--values", &value, err) != 0 ||
            (value != NULL && read_values(value, wanted->values, err) != 0)) {
            return -1;
        }
        if (value != NULL) {
            wanted->counts = wanted->counts || json_object_get(wanted->values, "cluster") != NULL;
            continue;
        }
        if (take_value(&argv, "--set", &value, err) != 0 ||
            (value != NULL && form_enter(form, wanted->values, value, wanted->unchecked, err) != 0)) {
            return -1;
        }
        if (value == NULL) {
            break;
        }
    }
    if (*argv == NULL && wanted->counts) {
        return 0;
    }
    _cleanup_strv_ char **words = *argv == NULL ? strv_split(usual) : NULL;
    return counts_enter(form->config, words != NULL ? words : argv, wanted->values, err);
}

/* The lab on disk, and the image; neither a lab without machines where that fails. */
static int begin_lab(struct lab *lab, const char *confd, struct error **err)
{
    /* locked until this program ends; another verb that comes meanwhile says so */
    if (lab_save(lab, err) != 0 || lab_lock(lab, err) < 0) {
        return -1;
    }
    int r = image_make(lab, KUBERNETES_VERSION, err) == 0 ? app_put_confd(lab, confd, err) : -1;
    if (r != 0) {
        (void)files_remove(lab->dir, NULL);
    }
    return r;
}

/* The lab on disk with what is wanted in it, and the image. */
static int prepare(struct lab *lab, char **argv, struct role_count **counts, struct error **err)
{
    _cleanup_(wanted_free) struct wanted wanted = {0};
    if (lab->n_machines > 0 || lab_exists(lab)) {
        return error_new(err, STATUS_USAGE, "lab %s is there already; `lab down` ends it", lab->name);
    }
    if (host_check_own(err) != 0) {
        return -1;
    }
    const char *app = NULL;
    if (take_value(&argv, "--package", &app, err) != 0 || (app != NULL && app_choose(lab, app, err) != 0)) {
        return -1;
    }
    const struct form form = {lab->form, lab->locale, locale_language()};
    _cleanup_json_ json_t *filled_in = package_filled_in();
    if (take_wanted(&form, argv, &wanted, err) != 0 ||
        (!wanted.unchecked && form_check_values(&form, wanted.values, filled_in, err) != 0)) {
        return -1;
    }
    json_decref(lab->values);
    lab->values = json_incref(wanted.values);
    json_decref(STEAL(lab->package));
    if (package_load(lab->app, lab->values, &lab->package, err) != 0) {
        return -1;
    }
    package_env(lab->package, lab->env);
    *counts = counts_of(lab->form, lab->values);
    return begin_lab(lab, wanted.confd, err);
}

int verb_image(struct lab *lab, char **argv, struct error **err)
{
    bool there = lab_exists(lab);
    if (take_end(argv, err) != 0 || host_check_own(err) != 0) {
        return -1;
    }
    int r = image_make(lab, KUBERNETES_VERSION, err);
    if (!there) {
        (void)files_remove(lab->dir, NULL);
    }
    return r;
}

int verb_up(struct lab *lab, char **argv, struct error **err)
{
    _cleanup_free_ struct role_count *counts = NULL;
    if (prepare(lab, argv, &counts, err) != 0) {
        return -1;
    }
    struct record *record = record_begin(lab, NULL, "up");
    int r = appcenter_register(lab, counts, err) == 0 && appcenter_boot(lab, err) == 0 ? 0 : -1;
    return record_result(record, r, err);
}

int verb_create(struct lab *lab, char **argv, struct error **err)
{
    _cleanup_free_ struct role_count *counts = NULL;
    if (prepare(lab, argv, &counts, err) != 0) {
        return -1;
    }
    struct record *record = record_begin(lab, NULL, "create");
    return record_result(record, appcenter_create(lab, counts, err), err);
}

static void print_entry(const struct lab *lab)
{
    _cleanup_free_ char *option = strcmp(lab->name, "demo") == 0 ? xstrdup("") : xasprintf(" --name %s", lab->name);
    printf("\nThe cluster is up and stays up. Try:\n"
           "  build/lab/lab%s exec client kubectl get nodes\n"
           "  build/lab/lab%s shell master-1\n"
           "  build/lab/lab%s event node-1 check\n"
           "  build/lab/lab%s status\n"
           "End it with `make lab-down` (build/lab/lab%s down).\n",
           option, option, option, option, option);
}

static void print_memory(const struct lab *lab)
{
    unsigned long long sum = 0;
    printf("\nMemory:");
    for (size_t i = 0; i < lab->n_machines; i++) {
        unsigned long long bytes = cgroup_memory(lab, lab->machines[i]);
        printf(" %s %llu MiB,", lab->machines[i]->name, bytes >> 20);
        sum += bytes;
    }
    printf(" together %llu MiB\n", sum >> 20);
}

static int await_ready(const struct lab *lab, struct error **err)
{
    static const char ready[] =
        "kubectl wait --for=condition=Ready node --all --timeout=120s >&2 && "
        "for try in $(seq 170); do "
        "if pods=$(kubectl get pods -A --no-headers) && [ -n \"$pods\" ]; then waiting=$(echo \"$pods\" | "
        "awk '{ split($3, n, \"/\"); if ($4 != \"Completed\" && (n[1] != n[2] || $4 != \"Running\")) print }'); "
        "else waiting='kubectl lists no pods'; fi; "
        "[ -n \"$waiting\" ] || break; sleep 1; done; "
        "[ -z \"$waiting\" ] || { echo \"$waiting\" >&2; exit 1; }; "
        "kubectl get nodes -o wide && kubectl get pods -A";
    const struct machine *client = lab_find(lab, "client", err);
    if (client == NULL) {
        return -1;
    }
    struct task *task = progress_begin(NULL, "all nodes and pods Ready");
    _cleanup_proc_ struct proc_result result = {0};
    int r = machine_run(client, ready, deadline_in(310000), &result, err);
    progress_end(task, r == 0, NULL);
    (void)fputs(result.output == NULL ? "" : result.output, stdout);
    return r;
}

int verb_demo(struct lab *lab, char **argv, struct error **err)
{
    bool there = lab_exists(lab);
    if (verb_create(lab, argv, err) == 0 && await_ready(lab, err) == 0) {
        print_memory(lab);
        print_entry(lab);
        return 0;
    }
    /* A failed cluster stays for whoever wants to look at it; one that was given up does not. */
    if (!there && interrupted()) {
        progress_say("interrupted: removing what was made");
        (void)lab_down(lab, NULL);
    } else if (!there && lab_exists(lab)) {
        progress_say("the machines stay for a look; `lab down` removes them");
    }
    return -1;
}
