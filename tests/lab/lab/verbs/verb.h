/* What `lab` can do: one table, from which --help, the manual page and the completion come too. */
#ifndef LAB_VERB_H
#define LAB_VERB_H

#include <stdio.h>

#include "lib/system/proc.h"
#include "tests/lab/lab/lab.h"

enum verb_kind {
    VERB_ALONE,  /* needs no lab */
    VERB_RECORD, /* a lab that is there, or was and has its record still */
    VERB_LAB,    /* one with machines */
    VERB_INSIDE, /* and its network, which is entered before */
    VERB_EVENT,  /* and changes the cluster: recorded, and one at a time */
};

/* What its arguments are, for the completion. */
enum verb_words { WORDS_NONE, WORDS_MACHINES, WORDS_ROLES, WORDS_KEYS, WORDS_EVENTS, WORDS_TABS, WORDS_FAULTS };

struct verb {
    const char *group; /* NULL: not in --help; an older name */
    const char *name;
    const char *arguments; /* as in "[--force] MACHINE..." */
    const char *summary;   /* one line */
    const char *details;   /* for `lab VERB --help` and the manual, in lines of at most 76 characters; may be NULL */
    enum verb_kind kind;
    enum verb_words words;
    const char *options; /* blank separated, in the order in which RUN takes them, "--set=" has a value; may be NULL */
    int (*run)(struct lab *lab, char **argv, struct error **err);
};

extern const struct verb verbs[]; /* the last has no name */

/* NULL: none. */
const struct verb *verb_find(const char *name);

/* `lab --help`; `lab VERB --help`; lab.1; the completion's words for the command line WORDS, one a line. */
void help_usage(FILE *to);
void help_verb(const struct verb *verb, FILE *to);
void help_manual(FILE *to);
int help_words(const struct lab *lab, char *const *words);

/* Moves the options of VERB among ARGV to its front, with their values and in the order of verb.options, so that they
 * may stand anywhere. STATUS_USAGE: a word that begins with "--" is not one of them. Nothing for a VERB without. */
int arrange_options(const struct verb *verb, char **argv, struct error **err);
/* Takes the option NAME off the front of ARGV. True when it was there. */
bool take_option(char ***argv, const char *name);
/* The same for one with a value, which stays NULL when there is none. STATUS_USAGE: the option has no value. */
int take_value(char ***argv, const char *name, const char **value, struct error **err);
/* STATUS_USAGE when there is more. */
int take_end(char *const *argv, struct error **err);

/* Prints what EVENT wrote to its standard output, and leaves it out of the error when R is -1, which names MACHINE and
 * EVENT then. Returns R. */
int print_result(const struct machine *machine, const char *event, int r, const struct proc_result *result,
                 struct error **err);

/* STATUS_USAGE where MACHINE is off: what is done in it would be no event that failed. */
int need_machine(const struct machine *machine, struct error **err);
/* STATUS_USAGE where the cluster was not created, or has machines that are off: MACHINES are what the verb acts on. */
int need_cluster(const struct lab *lab, struct error **err);

/* What to do next when VERB failed, which began at BEGAN (ns since 1970), on the lab NAME: from the record, from what
 * WHY names as `lab VERB ...`, or where to look. VERB and LAB may be NULL: there is none of that name, or its state
 * cannot be read. */
void advise(const struct lab *lab, const char *name, const struct verb *verb, int64_t began, const struct error *why,
            FILE *to);

int verb_image(struct lab *lab, char **argv, struct error **err);
int verb_demo(struct lab *lab, char **argv, struct error **err);
int verb_up(struct lab *lab, char **argv, struct error **err);
int verb_create(struct lab *lab, char **argv, struct error **err);
int verb_set(struct lab *lab, char **argv, struct error **err);
int verb_add(struct lab *lab, char **argv, struct error **err);
int verb_delete(struct lab *lab, char **argv, struct error **err);
int verb_delete_cluster(struct lab *lab, char **argv, struct error **err);
int verb_stop(struct lab *lab, char **argv, struct error **err);
int verb_start(struct lab *lab, char **argv, struct error **err);
int verb_restart(struct lab *lab, char **argv, struct error **err);
int verb_resize(struct lab *lab, char **argv, struct error **err);
int verb_upgrade(struct lab *lab, char **argv, struct error **err);
int verb_backup(struct lab *lab, char **argv, struct error **err);
int verb_restore(struct lab *lab, char **argv, struct error **err);
int verb_event(struct lab *lab, char **argv, struct error **err);
int verb_exec(struct lab *lab, char **argv, struct error **err);
int verb_agent(struct lab *lab, char **argv, struct error **err);
int verb_shell(struct lab *lab, char **argv, struct error **err);
int verb_sh(struct lab *lab, char **argv, struct error **err);
int verb_logs(struct lab *lab, char **argv, struct error **err);
int verb_metadata(struct lab *lab, char **argv, struct error **err);
int verb_monitor(struct lab *lab, char **argv, struct error **err);
int verb_tab(struct lab *lab, char **argv, struct error **err);
int verb_health(struct lab *lab, char **argv, struct error **err);
int verb_status(struct lab *lab, char **argv, struct error **err);
int verb_events(struct lab *lab, char **argv, struct error **err);
int verb_report(struct lab *lab, char **argv, struct error **err);
int verb_fault(struct lab *lab, char **argv, struct error **err);
int verb_e2e(struct lab *lab, char **argv, struct error **err);
int verb_down(struct lab *lab, char **argv, struct error **err);

#endif
