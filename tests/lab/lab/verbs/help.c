/* All texts about the verbs, from their table. */
#include <string.h>

#include "tests/lab/lab/faults/fault.h"
#include "tests/lab/lab/verbs/verb.h"

static const char where[] = "The state is in /var/tmp/k8s-lab-NAME (NAME: demo, for e2e e2e), what is made\n"
                            "once in $K8S_HOOKS_CACHE (/var/cache/k8s-hooks).\n";

/* What cannot be had in a machine that shares this host's kernel. */
static const char limits[] = "disk-full: a layer without room is laid over /data, whose directory on this\n"
                             "host must not be filled; programs go on with files that they have open, and\n"
                             "what is deleted stays. clock-off: through libfaketime, for the package's\n"
                             "commands alone; kubelet, dockerd and what the hooks call keep this host's\n"
                             "clock, which the kernel gives all machines.";

void help_usage(FILE *to)
{
    const char *group = "";
    (void)fputs("Usage: lab [--name NAME] VERB [ARGUMENT...]\n", to);
    for (const struct verb *verb = verbs; verb->name != NULL; verb++) {
        if (verb->group != NULL && strcmp(verb->group, group) != 0) {
            group = verb->group;
            (void)fprintf(to, "\n%s:\n", group);
        }
        if (verb->group != NULL) {
            (void)fprintf(to, "  %-15s %s\n", verb->name, verb->summary);
        }
    }
    (void)fprintf(to, "\n`lab VERB --help` has the arguments of each, `lab help --man` the manual.\n%s", where);
}

void help_verb(const struct verb *verb, FILE *to)
{
    (void)fprintf(to, "Usage: lab [--name NAME] %s%s%s\n", verb->name, *verb->arguments == '\0' ? "" : " ",
                  verb->arguments);
    (void)fprintf(to, "  %s\n", verb->summary);
    if (verb->details != NULL) {
        (void)fprintf(to, "\n%s\n", verb->details);
    }
    for (const struct fault_kind *kind = fault_kinds; verb->words == WORDS_FAULTS && kind->name != NULL; kind++) {
        _cleanup_free_ char *how = xasprintf("%s %s", kind->name, kind->arguments);
        (void)fprintf(to, "  %-25s %s\n", how, kind->summary);
    }
    if (verb->words == WORDS_FAULTS) {
        (void)fprintf(to, "\n%s\n", limits);
    }
}

/* "-" and "\" as they stand in a manual's source; a line may not begin with a control character. */
static void roff(const char *text, FILE *to)
{
    bool line_begins = true;
    for (; *text != '\0'; text++) {
        if (line_begins && (*text == '.' || *text == '\'')) {
            (void)fputs("\\&", to);
        }
        if (*text == '-') {
            (void)fputs("\\-", to);
        } else if (*text == '\\') {
            (void)fputs("\\e", to);
        } else if (*text == '\n' && line_begins) {
            (void)fputs(".PP\n", to);
        } else {
            (void)fputc(*text, to);
        }
        line_begins = *text == '\n';
    }
}

static const char manual_head[] = ".\\\" Made by `lab help --man` from the table of verbs.\n"
                                  ".TH LAB 1 \"\" k8s\\-hooks\n"
                                  ".SH NAME\n"
                                  "lab \\- AppCenter on one machine\n"
                                  ".SH SYNOPSIS\n"
                                  ".B lab\n"
                                  "[\\fB\\-\\-name\\fR \\fINAME\\fR] \\fIVERB\\fR [\\fIARGUMENT\\fR...]\n"
                                  ".SH DESCRIPTION\n"
                                  "Runs an AppCenter app's whole life on one machine: machines with systemd from the "
                                  "app's image, the metadata server,\n"
                                  "the cloud's API, and what AppCenter does, in its order. Labs of different names run "
                                  "side by side; each has a network\n"
                                  "of its own, without a way out. Runs as root.\n";

static const char manual_tail[] =
    ".SH \"EXIT STATUS\"\n"
    "0 where all went well; that of the hook that failed; 2 for a wrong command line or a value that the form refuses; "
    "19\n"
    "after Ctrl\\-C.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n"
    ".B K8S_HOOKS_CACHE\n"
    "Directory of what is made once: images, Kubernetes, packages.\n"
    ".TP\n"
    ".BR LC_ALL \", \" LC_MESSAGES \", \" LANG\n"
    "Language of what the form refuses: Chinese where it begins with zh.\n"
    ".SH FILES\n"
    ".TP\n"
    ".I /var/tmp/k8s\\-lab\\-NAME\n"
    "State of the lab NAME: lab.json, events.jsonl, the servers' logs, and a directory a machine with its disks, its\n"
    "console.log and EVENT.out, what each event printed last.\n"
    ".SH EXAMPLES\n"
    ".nf\n"
    "lab create master=1 node=2 log=2 client=1\n"
    "lab status \\-\\-watch\n"
    "lab set max_pods 80\n"
    "lab add node=1\n"
    "lab events \\-n 20\n"
    "lab down\n"
    ".fi\n";

static void manual_faults(FILE *to)
{
    (void)fputs(".RS\n", to);
    for (const struct fault_kind *kind = fault_kinds; kind->name != NULL; kind++) {
        (void)fputs(".TP\n.B ", to);
        roff(kind->name, to);
        (void)fputc(' ', to);
        roff(kind->arguments, to);
        (void)fputc('\n', to);
        roff(kind->summary, to);
        (void)fputc('\n', to);
    }
    (void)fputs(".RE\n.IP\n", to);
    roff(limits, to);
    (void)fputc('\n', to);
}

void help_manual(FILE *to)
{
    const char *group = "";
    (void)fputs(manual_head, to);
    for (const struct verb *verb = verbs; verb->name != NULL; verb++) {
        if (verb->group == NULL) {
            continue;
        }
        if (strcmp(verb->group, group) != 0) {
            group = verb->group;
            (void)fprintf(to, ".SH \"%s\"\n", group);
        }
        (void)fputs(".TP\n.B lab ", to);
        roff(verb->name, to);
        (void)fputc(' ', to);
        roff(verb->arguments, to);
        (void)fprintf(to, "\n%c", verb->summary[0] >= 'a' ? verb->summary[0] - 'a' + 'A' : verb->summary[0]);
        roff(verb->summary + 1, to);
        (void)fputs(".\n", to);
        if (verb->details != NULL) {
            roff(verb->details, to);
            (void)fputc('\n', to);
        }
        if (verb->words == WORDS_FAULTS) {
            manual_faults(to);
        }
    }
    (void)fputs(manual_tail, to);
}
