#include <string.h>

#include "tests/lab/lab/verbs/verb.h"

#define BEGIN "To begin and to end"
#define CHANGE "AppCenter's operations"
#define LOOK "To look"
#define ENTER "To go in"
#define BREAK "To break"

#define COUNTS_DETAILS                                                                                                 \
    "ROLE=N is the number of machines of a role; a role that is not named gets\n"                                      \
    "none. Without any, and without --values: master=1 node=1 log=2 client=1.\n"                                       \
    "--values FILE has what a user enters in AppCenter's form, in its shape:\n"                                        \
    "{\"cluster\": {\"node\": {\"count\": 3}}, \"env\": {\"max_pods\": 80}}; what is\n"                                \
    "missing keeps its default. --set KEY=VALUE enters one more, as\n"                                                 \
    "env.es_server=10.0.0.2:9200. What config.json does not allow is refused\n"                                        \
    "before anything is made (in Chinese where LANG begins with zh); --unchecked\n"                                    \
    "does without, for instance for a single log node on a small machine.\n"                                           \
    "--confd DIR adds its conf.d/*.toml and templates to the image's /etc/confd:\n"                                    \
    "each machine's agent renders them, and runs their reload_cmd. --package DIR:\n"                                   \
    "another app, whose package (config.json, cluster.json.mustache, locale/) is\n"                                    \
    "in DIR; --confd has its confd files then. What the agent cannot make of\n"                                        \
    "them, and a reload_cmd that fails, is told and stops nothing, as on AppCenter."
#define CREATE_ARGUMENTS "[--package DIR] [--values FILE] [--set KEY=VALUE] [--confd DIR] [--unchecked] [ROLE=N...]"
#define CREATE_OPTIONS "--package= --values= --set= --confd= --unchecked"

const struct verb verbs[] = {
    {BEGIN, "image", "", "make the machine image, or what is missing of it", NULL, VERB_ALONE, WORDS_NONE, NULL,
     verb_image},
    {BEGIN, "up", CREATE_ARGUMENTS, "machines only, no cluster", COUNTS_DETAILS, VERB_ALONE, WORDS_ROLES,
     CREATE_OPTIONS, verb_up},
    {BEGIN, "create", CREATE_ARGUMENTS, "machines, and AppCenter's create event", COUNTS_DETAILS, VERB_ALONE,
     WORDS_ROLES, CREATE_OPTIONS, verb_create},
    {BEGIN, "demo", CREATE_ARGUMENTS, "create, wait until all pods are ready, show them", COUNTS_DETAILS, VERB_ALONE,
     WORDS_ROLES, CREATE_OPTIONS, verb_demo},
    {BEGIN, "down", "", "end and remove everything the lab made",
     "Also what a lab left that was killed: machines, servers, network, control\n"
     "groups, faults and files. It is no error when there is no lab.",
     VERB_ALONE, WORDS_NONE, NULL, verb_down},
    {BEGIN, "e2e", "[--keep | --reuse] [NAME...]", "run scenarios of tests/e2e (all), print TAP",
     "--keep leaves the last cluster, --reuse begins with it.", VERB_ALONE, WORDS_NONE, "--keep --reuse", verb_e2e},

    {CHANGE, "set", "KEY VALUE [KEY VALUE...]", "change parameters; the agents reload",
     "KEY is one of \"env\" in config.json, which must accept VALUE and let it\n"
     "change. All are checked before one is changed. Ends when each machine's agent\n"
     "(the unit k8s-lab-agent) has rendered what changed and run its reload_cmd;\n"
     "one that a fault keeps from the metadata does so when the fault has ended.",
     VERB_EVENT, WORDS_KEYS, NULL, verb_set},
    {CHANGE, "add", "[--unchecked] ROLE=N...", "add nodes",
     "Refused where the package's advanced_actions do not have it, or the form\n"
     "does not allow as many.",
     VERB_EVENT, WORDS_ROLES, "--unchecked", verb_add},
    {CHANGE, "delete", "[--force] [--unchecked] MACHINE...", "delete nodes",
     "Refused where the form does not allow as few as are left. --force goes on\n"
     "where the leaving nodes' destroy fails.",
     VERB_EVENT, WORDS_MACHINES, "--force --unchecked", verb_delete},
    {CHANGE, "stop", "", "stop the cluster: its VMs are dropped, /data stays", NULL, VERB_EVENT, WORDS_NONE, NULL,
     verb_stop},
    {CHANGE, "start", "", "start it, with new VMs",
     "Also after a restart of this host, which ends machines, servers and network.", VERB_EVENT, WORDS_NONE, NULL,
     verb_start},
    {CHANGE, "restart", "", "restart the services", NULL, VERB_EVENT, WORDS_NONE, NULL, verb_restart},
    {CHANGE, "resize", "ROLE cpu=N memory=N volume_size=N", "vertical scaling: new VMs with other figures",
     "At least one of the three, as the form allows. The figures are what the\n"
     "metadata say; the machines share what this host has.",
     VERB_EVENT, WORDS_ROLES, NULL, verb_resize},
    {CHANGE, "upgrade", "[--back] VERSION", "the cluster from the image of another Kubernetes",
     "Stops the cluster, starts it from the new image and runs upgrade; --back is\n"
     "the way back after a failed one. VERSION as v1.20.3.",
     VERB_EVENT, WORDS_NONE, "--back", verb_upgrade},
    {CHANGE, "backup", "[NAME] [KEY=VALUE...]", "run the package's backup",
     "Without arguments with the package's service_params, as a scheduled one.", VERB_EVENT, WORDS_NONE, NULL,
     verb_backup},
    {CHANGE, "restore", "[NAME] [KEY=VALUE...]", "run the package's restore", NULL, VERB_EVENT, WORDS_NONE, NULL,
     verb_restore},
    {CHANGE, "delete-cluster", "[--force]", "destroy and stop everywhere, then all is gone",
     "--force goes on where a destroy fails.", VERB_EVENT, WORDS_NONE, "--force", verb_delete_cluster},
    {CHANGE, "event", "MACHINE NAME [ARGUMENT]", "one service of the package on one machine",
     "NAME is a service (init, start, scale_in, ...), its pre-check\n"
     "(scale_in.pre_check), custom_metadata, check, action, monitor, \"tab NAME\",\n"
     "or reload. ARGUMENT is its JSON.",
     VERB_INSIDE, WORDS_EVENTS, NULL, verb_event},

    {LOOK, "status", "[--watch] [--json]", "machines, what runs on them, their health, faults",
     "EVENT is what runs, or ran last, with its outcome; STEP the step its hook is\n"
     "in; HEALTH the verdict of `lab health`, SINCE when it has been that.\n"
     "--watch draws it anew each second until Ctrl-C. --json: one object with\n"
     "cluster, machines and faults; with --watch one a line.",
     VERB_RECORD, WORDS_NONE, "--watch --json", verb_status},
    {LOOK, "events", "[--json] [-n N] [MACHINE]", "what ran, when, how long, with which status",
     "A status has the text that AppCenter shows, in both languages. --json: one\n"
     "object a line, with the steps (tests/lab/lab/record/record.h).",
     VERB_RECORD, WORDS_MACHINES, "--json -n=", verb_events},
    {LOOK, "report", "[--from RECORD] [FILE]", "what was done, as one HTML page",
     "A timeline a machine, with events, steps, health and faults, and the critical\n"
     "path of each operation. The page needs no network. FILE is report.html in\n"
     "the lab's directory by default. --from RECORD: of a copy of its events.jsonl.",
     VERB_ALONE, WORDS_NONE, "--from=", verb_report},
    {LOOK, "health", "[--interval SECONDS] [--rounds N] [MACHINE...]", "the platform's health checks",
     "Runs check every interval_sec on every machine, and action after\n"
     "unhealthy_threshold failures in a row, as cluster.json says, until Ctrl-C or\n"
     "for N rounds. `lab status` shows the verdict. Exit status 1: one is unhealthy.",
     VERB_INSIDE, WORDS_MACHINES, "--interval= --rounds=", verb_health},
    {LOOK, "monitor", "[--json] [MACHINE]", "the monitor's items, scaled as the console shows them",
     "REFUSED says why AppCenter would not take an item. --json: what the services\n"
     "printed, {MACHINE: {ITEM: VALUE}}.",
     VERB_INSIDE, WORDS_MACHINES, "--json", verb_monitor},
    {LOOK, "tab", "[--json] NAME", "a tab of the console",
     "--json: what the service printed, {\"labels\": [...], \"data\": [[...]...]}.", VERB_INSIDE, WORDS_TABS, "--json",
     verb_tab},
    {LOOK, "metadata", "[--as MACHINE] [--text] [PATH]", "what a machine reads from the metadata server",
     "PATH as /self/hosts, or hosts; all of it by default, as the first machine\n"
     "sees it.",
     VERB_INSIDE, WORDS_MACHINES, "--as= --text", verb_metadata},
    {LOOK, "logs", "MACHINE [-f] [--unit UNIT | --all | --console | EVENT]", "a machine's logs",
     "What the hooks wrote; of a unit; the whole journal, without the kernel's\n"
     "messages, which are this host's; the console; or what EVENT (init, tab NAME,\n"
     "...) printed when it ran last. -f follows it.",
     VERB_LAB, WORDS_MACHINES, "-f --follow --unit= --all --console", verb_logs},

    {BREAK, "fault", "[FAULT [MACHINE] [ARGUMENT] [--for SECONDS] | end ID|FAULT|MACHINE|all]",
     "faults on demand; without arguments: those there are",
     "With --for it ends by itself, whatever became of this program; otherwise\n"
     "when `lab fault end` ends it. `lab status` shows those there are, with the\n"
     "time left; `lab events` when they began and ended. FAULT is one of:",
     VERB_INSIDE, WORDS_FAULTS, "--for=", verb_fault},

    {ENTER, "exec", "MACHINE COMMAND [ARGUMENT...]", "a command in a machine", NULL, VERB_LAB, WORDS_MACHINES, NULL,
     verb_exec},
    {ENTER, "shell", "MACHINE", "a shell in a machine", NULL, VERB_LAB, WORDS_MACHINES, NULL, verb_shell},

    {ENTER, "agent", "[--once] MACHINE DIRECTORY", "a second agent, for the confd files of another app",
     "Each machine runs AppCenter's agent on its own /etc/confd. This is one more, on\n"
     "DIRECTORY's conf.d/*.toml and templates/, until Ctrl-C; --once renders once.\n"
     "Files and reload commands are the machine's.",
     VERB_LAB, WORDS_MACHINES, "--once", verb_agent},

    {NULL, "sh", "MACHINE [COMMAND]", "exec or shell", NULL, VERB_LAB, WORDS_MACHINES, NULL, verb_sh},
    {NULL, NULL, NULL, NULL, NULL, VERB_ALONE, WORDS_NONE, NULL, NULL},
};

const struct verb *verb_find(const char *name)
{
    for (const struct verb *verb = verbs; verb->name != NULL; verb++) {
        if (strcmp(verb->name, name) == 0) {
            return verb;
        }
    }
    return NULL;
}
