/* A whole cluster on this machine: machines, metadata server and AppCenter's part. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/system/program.h"
#include "tests/lab/lab/cluster/appcenter.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/lab/cluster/scenario.h"
#include "tests/lab/lab/form/locale.h"
#include "tests/lab/lab/image/image.h"
#include "tests/lab/lab/lab.h"
#include "tests/lab/lab/machine/cgroup.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/machine/network.h"
#include "tests/lab/lab/machine/services.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/lab/record/record.h"

static const char usage[] =
    "Usage: lab [--name NAME] VERB [ARGUMENT...]\n"
    "  image              make the machine image, or what is missing of it\n"
    "  demo               image, and a cluster of a master, a node, a log node and a client; leaves it running\n"
    "  up [ROLE=N...]     image and machines only, no cluster (default: master=1 node=1 log=1 client=1)\n"
    "  create [ROLE=N...] the same, and AppCenter's create event\n"
    "  sh MACHINE [CMD]   a command, or a shell, in a machine\n"
    "  event MACHINE NAME AppCenter's service NAME (init, start, check, ...) on a machine\n"
    "  set KEY VALUE      change a parameter and reload\n"
    "  add ROLE=N...      add nodes\n"
    "  delete [--force] MACHINE...  delete nodes; --force goes on where destroy fails\n"
    "  delete-cluster [--force]     destroy and stop everywhere, then remove machines and volumes\n"
    "  stop, start        the cluster, with new machines\n"
    "  status             machines and where they are\n"
    "  e2e [--keep | --reuse] [NAME...]  run scenarios of tests/e2e (all), print TAP; --keep leaves the last cluster,\n"
    "                     --reuse begins with it\n"
    "  down               end and remove everything\n"
    "The state is in /var/tmp/k8s-lab-NAME (NAME: demo, for e2e e2e), what is made once in $K8S_HOOKS_CACHE "
    "(/var/cache/k8s-hooks).\n";

static const struct role_count usual[] = {{"master", 1}, {"node", 1}, {"log", 1}, {"client", 1}, {NULL, 0}};

struct counts {
    struct role_count list[8];
};

static int parse_counts(char **argv, struct counts *counts, struct error **err)
{
    static const char *const roles[] = {"master", "node", "ssd_node", "log", "client"};
    memset(counts, 0, sizeof *counts);
    if (*argv == NULL) {
        memcpy(counts->list, usual, sizeof usual);
        return 0;
    }
    size_t n = 0;
    for (; *argv != NULL; argv++) {
        long count = 0;
        const char *equals = strchr(*argv, '=');
        for (size_t i = 0; i < ELEMENTS(roles) && equals != NULL; i++) {
            if (strlen(roles[i]) == (size_t)(equals - *argv) && str_starts(*argv, roles[i]) &&
                str_number(equals + 1, 0, 100, &count) && n + 1 < ELEMENTS(counts->list)) {
                counts->list[n++] = (struct role_count){roles[i], (int)count};
                equals = NULL;
            }
        }
        if (equals != NULL || strchr(*argv, '=') == NULL) {
            return error_new(err, STATUS_USAGE, "'%s': ROLE=N is wanted, ROLE one of master node ssd_node log client",
                             *argv);
        }
    }
    return 0;
}

static int fresh(const struct lab *lab, struct error **err)
{
    return lab->n_machines == 0 && !lab_exists(lab)
               ? 0
               : error_new(err, STATUS_USAGE, "lab %s is there already: end it with `lab down` first", lab->name);
}

static int prepare(struct lab *lab, struct error **err)
{
    if (fresh(lab, err) != 0) {
        return -1;
    }
    package_env(lab->package, lab->env);
    return lab_save(lab, err) == 0 ? image_make(lab, KUBERNETES_VERSION, err) : -1;
}

static int verb_image(struct lab *lab, char **argv, struct error **err)
{
    (void)argv;
    bool there = lab_exists(lab);
    int r = image_make(lab, KUBERNETES_VERSION, err);
    if (!there) {
        (void)files_remove(lab->dir, NULL);
    }
    return r;
}

static int verb_up(struct lab *lab, char **argv, struct error **err)
{
    struct counts counts;
    if (parse_counts(argv, &counts, err) != 0 || prepare(lab, err) != 0) {
        return -1;
    }
    struct record *record = record_begin(lab, NULL, "up");
    int r = appcenter_register(lab, counts.list, err) == 0 && appcenter_boot(lab, err) == 0 ? 0 : -1;
    return record_result(record, r, err);
}

static int verb_create(struct lab *lab, char **argv, struct error **err)
{
    struct counts counts;
    if (parse_counts(argv, &counts, err) != 0 || prepare(lab, err) != 0) {
        return -1;
    }
    struct record *record = record_begin(lab, NULL, "create");
    return record_result(record, appcenter_create(lab, counts.list, err), err);
}

static void print_entry(const struct lab *lab)
{
    _cleanup_free_ char *option = strcmp(lab->name, "demo") == 0 ? xstrdup("") : xasprintf(" --name %s", lab->name);
    printf("\nThe cluster is up and stays up. Try:\n"
           "  build/lab/lab%s sh client kubectl get nodes\n"
           "  build/lab/lab%s sh master-1            # a shell in a machine\n"
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

static int verb_demo(struct lab *lab, char **argv, struct error **err)
{
    static const char ready[] =
        "kubectl wait --for=condition=Ready node --all --timeout=120s >&2 && "
        "for try in $(seq 170); do waiting=$(kubectl get pods -A --no-headers | "
        "awk '{ split($3, n, \"/\"); if ($4 != \"Completed\" && (n[1] != n[2] || $4 != \"Running\")) print }'); "
        "[ -n \"$waiting\" ] || break; sleep 1; done; "
        "[ -z \"$waiting\" ] || { echo \"$waiting\" >&2; exit 1; }; "
        "kubectl get nodes -o wide && kubectl get pods -A";
    if (fresh(lab, err) != 0) {
        return -1;
    }
    int r = verb_create(lab, argv, err);
    struct machine *client = r == 0 ? lab_find(lab, "client", err) : NULL;
    if (client != NULL) {
        struct task *task = progress_begin(NULL, "all nodes and pods Ready");
        _cleanup_proc_ struct proc_result result = {0};
        r = machine_run(client, ready, deadline_in(310000), &result, err);
        progress_end(task, r == 0, NULL);
        (void)fputs(result.output == NULL ? "" : result.output, stdout);
    }
    if (r == 0) {
        print_memory(lab);
        print_entry(lab);
        return 0;
    }
    /* A failed cluster stays for whoever wants to look at it; one that was given up does not. */
    if (interrupted()) {
        progress_say("interrupted: removing what was made");
        (void)lab_down(lab, NULL);
    } else {
        progress_say("the machines stay for a look; `lab down` removes them");
    }
    return -1;
}

static int verb_sh(struct lab *lab, char **argv, struct error **err)
{
    struct machine *machine = *argv == NULL ? NULL : lab_find(lab, *argv, err);
    if (machine == NULL) {
        return *argv == NULL ? error_new(err, STATUS_USAGE, "which machine?") : -1;
    }
    return machine_exec(machine, argv + 1, err);
}

static int verb_event(struct lab *lab, char **argv, struct error **err)
{
    if (strv_length(argv) < 2) {
        return error_new(err, STATUS_USAGE, "event MACHINE NAME [ARGUMENT]");
    }
    struct machine *machine = lab_find(lab, argv[0], err);
    _cleanup_proc_ struct proc_result result = {0};
    if (machine == NULL) {
        return -1;
    }
    int r = service_run(lab, machine, argv[1], argv[2], &result, err);
    (void)fputs(result.output == NULL ? "" : result.output, stdout);
    if (r != 0 && result.status > 0) {
        (*err)->status = result.status;
    }
    return r;
}

static int verb_set(struct lab *lab, char **argv, struct error **err)
{
    if (strv_length(argv) != 2) {
        return error_new(err, STATUS_USAGE, "set KEY VALUE");
    }
    return appcenter_set(lab, argv[0], argv[1], err);
}

static int verb_add(struct lab *lab, char **argv, struct error **err)
{
    struct counts counts;
    return parse_counts(argv, &counts, err) == 0 ? appcenter_add(lab, counts.list, err) : -1;
}

static bool take_force(char ***argv)
{
    bool force = **argv != NULL && strcmp(**argv, "--force") == 0;
    *argv += force;
    return force;
}

static int verb_delete(struct lab *lab, char **argv, struct error **err)
{
    bool force = take_force(&argv);
    return appcenter_delete(lab, argv, force, err);
}

static int verb_delete_cluster(struct lab *lab, char **argv, struct error **err)
{
    bool force = take_force(&argv);
    return appcenter_delete_cluster(lab, force, err);
}

static int verb_stop(struct lab *lab, char **argv, struct error **err)
{
    (void)argv;
    return appcenter_stop(lab, err);
}

static int verb_start(struct lab *lab, char **argv, struct error **err)
{
    (void)argv;
    return appcenter_start(lab, err);
}

static int verb_status(struct lab *lab, char **argv, struct error **err)
{
    (void)argv;
    (void)err;
    printf("lab %s, cluster %s, %s\n", lab->name, lab->cluster_id, lab->created ? "created" : "not created");
    for (size_t i = 0; i < lab->n_machines; i++) {
        const struct machine *m = lab->machines[i];
        printf("%-12s %-16s %-12s %-8s %s\n", m->name, m->ip, m->instance_id == NULL ? "-" : m->instance_id,
               process_alive(&m->leader) ? "running" : "off", m->node_id);
    }
    return 0;
}

static int verb_e2e(struct lab *lab, char **argv, struct error **err)
{
    bool reuse = *argv != NULL && strcmp(*argv, "--reuse") == 0;
    bool keep = reuse || (*argv != NULL && strcmp(*argv, "--keep") == 0);
    return scenarios_run(lab, argv + keep, keep, reuse, err);
}

static int verb_down(struct lab *lab, char **argv, struct error **err)
{
    (void)argv;
    return lab_down(lab, err);
}

static const struct verb {
    const char *name;
    int (*run)(struct lab *lab, char **argv, struct error **err);
    enum { OUTSIDE, INSIDE, EVENT } kind; /* INSIDE the lab's network; EVENT: also recorded, of the whole cluster */
} verbs[] = {
    {"image", verb_image, OUTSIDE},   {"demo", verb_demo, OUTSIDE}, {"up", verb_up, OUTSIDE},
    {"create", verb_create, OUTSIDE}, {"sh", verb_sh, OUTSIDE},     {"event", verb_event, INSIDE},
    {"set", verb_set, EVENT},         {"add", verb_add, EVENT},     {"delete", verb_delete, EVENT},
    {"stop", verb_stop, EVENT},       {"start", verb_start, EVENT}, {"status", verb_status, OUTSIDE},
    {"e2e", verb_e2e, OUTSIDE},       {"down", verb_down, OUTSIDE}, {"delete-cluster", verb_delete_cluster, EVENT},
};

static int run(int argc, char **argv, struct error **err)
{
    const char *name = argc > 1 && strcmp(argv[1], "e2e") == 0 ? "e2e" : "demo";
    if (argc > 2 && strcmp(argv[1], "--name") == 0) {
        name = argv[2];
        argv += 2;
        argc -= 2;
    }
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        (void)fputs(usage, argc < 2 ? stderr : stdout);
        return argc < 2 ? error_new(err, STATUS_USAGE, "a verb is wanted") : 0;
    }
    for (size_t i = 0; i < ELEMENTS(verbs); i++) {
        if (strcmp(verbs[i].name, argv[1]) != 0) {
            continue;
        }
        _cleanup_(lab_freep) struct lab *lab = NULL;
        if (geteuid() != 0) {
            return error_new(err, STATUS_USAGE, "the lab makes machines: run it as root");
        }
        if (lab_open(&lab, name, err) != 0 || package_load(lab->source, NULL, &lab->package, err) != 0 ||
            locale_load(lab->source, &lab->locale, err) != 0 ||
            (verbs[i].kind != OUTSIDE && network_enter(lab, err) != 0)) {
            return -1;
        }
        struct record *record = verbs[i].kind == EVENT ? record_begin(lab, NULL, verbs[i].name) : NULL;
        return record_result(record, verbs[i].run(lab, argv + 2, err), err);
    }
    return error_new(err, STATUS_USAGE, "no verb '%s'; see lab --help", argv[1]);
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    log_open("k8s-lab", NULL, NULL, LOG_LEVEL_WARNING);
    /* before there is another thread, which would not have the signals blocked */
    int r = program_start(&err) == 0 ? interrupt_open(&err) : -1;
    if (r == 0) {
        progress_open(false);
        r = run(argc, argv, &err);
        progress_close();
    }
    if (r == 0) {
        r = program_end(&err);
    }
    if (r != 0) {
        (void)fprintf(stderr, "lab: %s\n", err == NULL ? "failed" : err->message);
        return err == NULL ? 1 : (int)err->status;
    }
    return 0;
}
