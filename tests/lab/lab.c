/* A whole cluster on this machine: machines, metadata server and AppCenter's part. */
#include <dirent.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/system/program.h"
#include "tests/lab/lab/cluster/app.h"
#include "tests/lab/lab/lab.h"
#include "tests/lab/lab/machine/network.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/verb.h"

/* The command line, and what became of it, for advise(). */
struct command {
    const char *name; /* of the lab */
    const struct verb *verb;
    struct lab *lab;
    int64_t began;
};

/* Other labs that are there, for whoever mistook the name; the caller frees. */
static char *other_labs(void)
{
    struct buffer names = {0};
    const char *prefix = strrchr(LAB_DIRECTORY, '/') + 1;
    DIR *dir = opendir("/var/tmp");
    buffer_puts(&names, "");
    for (struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
        if (str_starts(e->d_name, prefix)) {
            buffer_printf(&names, " %s", e->d_name + strlen(prefix));
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return names.data;
}

static int need_lab(const struct lab *lab, const struct verb *verb, struct error **err)
{
    if (lab->n_machines > 0 || (verb->kind == VERB_RECORD && lab_exists(lab))) {
        return 0;
    }
    if (lab_exists(lab)) {
        return error_new(err, STATUS_USAGE,
                         "lab %s has no machines: its cluster was deleted, or what began it did not come so far; `lab "
                         "down` removes what there is",
                         lab->name);
    }
    _cleanup_free_ char *others = other_labs();
    return error_new(err, STATUS_USAGE, "there is no lab %s: `lab create` makes one%s%s", lab->name,
                     *others == '\0' ? "" : "; there are (--name):", others);
}

/* Into the lab's network. It is gone, with all machines, after a restart of this host: `start` makes it again. */
static int enter(const struct lab *lab, const struct verb *verb, struct error **err)
{
    if (network_is_up(lab)) {
        return network_enter(lab, err);
    }
    return verb->run == verb_start
               ? 0
               : error_new(err, STATUS_USAGE,
                           "lab %s has no network, as after a restart of this host: `lab start` boots its machines, "
                           "`lab down` removes them",
                           lab->name);
}

static int run_verb(struct command *command, char **argv, struct error **err)
{
    const struct verb *verb = command->verb;
    struct lab *lab = command->lab;
    /* before anything else of it: what is begun may not even have machines */
    _cleanup_close_ int lock = verb->kind == VERB_EVENT && lab_exists(lab) ? lab_lock(lab, err) : -1;
    if (verb->kind == VERB_EVENT && lab_exists(lab) && lock < 0) {
        return -1;
    }
    if (app_load(lab, err) != 0 || (verb->kind != VERB_ALONE && need_lab(lab, verb, err) != 0) ||
        (verb->kind >= VERB_INSIDE && enter(lab, verb, err) != 0)) {
        return -1;
    }
    if (verb->kind != VERB_EVENT) {
        return verb->run(lab, argv, err);
    }
    struct record *record = record_begin(lab, NULL, verb->name);
    return record_result(record, verb->run(lab, argv, err), err);
}

static bool wants_help(char *const *argv)
{
    for (; *argv != NULL; argv++) {
        if (strcmp(*argv, "--help") == 0 || strcmp(*argv, "-h") == 0) {
            return true;
        }
    }
    return false;
}

/* "help", "help VERB", "help --man", and what the completion asks. */
static int help(const struct command *command, char *const *argv, struct error **err)
{
    if (*argv == NULL) {
        help_usage(stdout);
        return 0;
    }
    if (strcmp(*argv, "--man") == 0) {
        help_manual(stdout);
        return 0;
    }
    if (strcmp(*argv, "--words") == 0) {
        return app_load(command->lab, err) == 0 ? help_words(command->lab, argv + 1) : -1;
    }
    const struct verb *verb = verb_find(*argv);
    if (verb == NULL) {
        return error_new(err, STATUS_USAGE, "no verb '%s'", *argv);
    }
    help_verb(verb, stdout);
    return 0;
}

/* For `down`, a state that cannot be read is none: it ends also what is in no state. */
static int open_lab(struct command *command, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    if (lab_open(&command->lab, command->name, &why) == 0) {
        return 0;
    }
    return why->status == STATUS_FILE && command->verb != NULL && command->verb->run == verb_down
               ? lab_open_anew(&command->lab, command->name, err)
               : error_move(err, &why);
}

static int run(struct command *command, int argc, char **argv, struct error **err)
{
    command->name = argc > 1 && strcmp(argv[1], "e2e") == 0 ? "e2e" : "demo";
    if (argc == 2 && strcmp(argv[1], "--name") == 0) {
        return error_new(err, STATUS_USAGE, "--name requires a value");
    }
    if (argc > 2 && strcmp(argv[1], "--name") == 0) {
        command->name = argv[2];
        argv += 2;
        argc -= 2;
    }
    if (argc < 2) {
        help_usage(stderr);
        return error_new(err, STATUS_USAGE, "a verb is required");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_usage(stdout);
        return 0;
    }
    command->verb = verb_find(argv[1]);
    if (open_lab(command, err) != 0) {
        return -1;
    }
    if (strcmp(argv[1], "help") == 0) {
        return help(command, argv + 2, err);
    }
    const struct verb *verb = command->verb;
    if (verb == NULL) {
        return error_new(err, STATUS_USAGE, "no verb '%s'", argv[1]);
    }
    /* what exec passes on is not ours */
    if (wants_help(argv + 2) && (verb->words != WORDS_MACHINES || argc < 5)) {
        help_verb(verb, stdout);
        return 0;
    }
    if (geteuid() != 0) {
        return error_new(err, STATUS_USAGE, "the lab makes machines: run it as root");
    }
    return arrange_options(verb, argv + 2, err) == 0 ? run_verb(command, argv + 2, err) : -1;
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    struct command command = {.name = "demo", .began = record_now()};
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    log_open("k8s-lab", NULL, NULL, LOG_LEVEL_WARNING);
    /* before there is another thread, which would not have the signals blocked */
    int r = program_start(&err) == 0 ? interrupt_open(&err) : -1;
    if (r == 0) {
        progress_open(false);
        r = run(&command, argc, argv, &err);
        progress_close();
    }
    if (r == 0) {
        r = program_end(&err);
    }
    if (r != 0) {
        (void)fprintf(stderr, "lab: %s\n", err == NULL ? "failed" : err->message);
        advise(command.lab, command.name, command.verb, command.began, err, stderr);
    }
    lab_free(command.lab);
    return r == 0 ? 0 : err == NULL ? STATUS_FAILED : err->status;
}
