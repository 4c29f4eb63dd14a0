/* What looks into a machine, or runs something in it. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/status.h"
#include "lib/core/json.h"
#include "lib/net/http.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/machine/services.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/verb.h"

static struct machine *machine_word(const struct lab *lab, char **argv, const char *how, struct error **err)
{
    if (*argv == NULL) {
        (void)error_new(err, STATUS_USAGE, "%s", how);
        return NULL;
    }
    return lab_find(lab, *argv, err);
}

int verb_exec(struct lab *lab, char **argv, struct error **err)
{
    struct machine *machine = machine_word(lab, argv, "exec MACHINE COMMAND [ARGUMENT...]", err);
    if (machine == NULL) {
        return -1;
    }
    argv += 1;
    (void)take_option(&argv, "--");
    if (*argv == NULL) {
        return error_new(err, STATUS_USAGE, "exec MACHINE COMMAND [ARGUMENT...]; `lab shell` gives a shell");
    }
    if (need_machine(machine, err) != 0) {
        return -1;
    }
    _cleanup_free_ char *action = xasprintf("exec %s", *argv);
    record_action(lab, machine, action);
    return machine_exec(machine, argv, err);
}

int verb_shell(struct lab *lab, char **argv, struct error **err)
{
    struct machine *machine = machine_word(lab, argv, "shell MACHINE", err);
    if (machine == NULL || take_end(argv + 1, err) != 0 || need_machine(machine, err) != 0) {
        return -1;
    }
    record_action(lab, machine, "shell");
    return machine_exec(machine, argv + 1, err);
}

int verb_sh(struct lab *lab, char **argv, struct error **err)
{
    return *argv != NULL && argv[1] == NULL ? verb_shell(lab, argv, err) : verb_exec(lab, argv, err);
}

int verb_event(struct lab *lab, char **argv, struct error **err)
{
    struct machine *machine = machine_word(lab, argv, "event MACHINE NAME [ARGUMENT]", err);
    if (machine == NULL || argv[1] == NULL) {
        return machine == NULL ? -1 : error_new(err, STATUS_USAGE, "event MACHINE NAME [ARGUMENT]");
    }
    bool tab = strcmp(argv[1], "tab") == 0 && argv[2] != NULL;
    _cleanup_free_ char *event = tab ? xasprintf("tab %s", argv[2]) : xstrdup(argv[1]);
    _cleanup_proc_ struct proc_result result = {0};
    if (argv[2] != NULL && take_end(argv + 3, err) != 0) {
        return -1;
    }
    if (need_machine(machine, err) != 0) {
        return -1;
    }
    int r = service_run(lab, machine, event, tab ? NULL : argv[2], &result, err);
    return print_result(machine, event, r, &result, err);
}

/* FILE of MACHINE, which EVENT has filled. */
static int show_file(const struct machine *machine, const char *event, char *file, bool follow, struct error **err)
{
    if (access(file, R_OK) != 0) {
        return error_new(err, STATUS_USAGE,
                         "no event '%s' has run on %s: there is no %s; `lab events %s` has those that ran", event,
                         machine->name, file, machine->name);
    }
    char *const command[] = {(char *)"tail",       (char *)"-n", (char *)"+1", follow ? (char *)"-F" : file,
                             follow ? file : NULL, NULL};
    (void)execvp(command[0], command);
    return error_new(err, STATUS_COMMAND, "tail could not be run");
}

/* The machines share this host's kernel: its messages are those of all labs, and none of theirs. */
static const char *const not_the_kernel[] = {"_TRANSPORT=stdout", "_TRANSPORT=syslog", "_TRANSPORT=journal",
                                             "_TRANSPORT=driver", "_TRANSPORT=audit"};

static int show_journal(const struct machine *machine, const char *unit, bool all, bool follow, struct error **err)
{
    _cleanup_free_ char *only = unit == NULL ? NULL : xasprintf("--unit=%s", unit);
    const char *journal[5 + ELEMENTS(not_the_kernel)] = {"journalctl", "--no-pager", "--output=short-iso"};
    size_t n = 3;
    if (follow) {
        journal[n++] = "--follow";
    }
    if (all) {
        memcpy(&journal[n], not_the_kernel, sizeof not_the_kernel);
    } else {
        journal[n] = only == NULL ? "--identifier=k8s-hooks" : only;
    }
    return machine_exec(machine, (char *const *)journal, err);
}

int verb_logs(struct lab *lab, char **argv, struct error **err)
{
    bool f = take_option(&argv, "-f");
    bool follow = take_option(&argv, "--follow") || f;
    const char *unit = NULL;
    if (take_value(&argv, "--unit", &unit, err) != 0) {
        return -1;
    }
    bool all = take_option(&argv, "--all");
    bool console = take_option(&argv, "--console");
    struct machine *machine =
        machine_word(lab, argv, "logs MACHINE [-f] [--unit UNIT | --all | --console | EVENT]", err);
    if (machine == NULL) {
        return -1;
    }
    argv++;
    bool tab = *argv != NULL && strcmp(*argv, "tab") == 0 && argv[1] != NULL;
    _cleanup_free_ char *event = tab ? xasprintf("tab %s", argv[1]) : xstrdup(*argv == NULL ? "" : *argv);
    if (*argv != NULL && take_end(argv + 1 + tab, err) != 0) {
        return -1;
    }
    if ((unit != NULL) + all + console + (*event != '\0') > 1) {
        return error_new(err, STATUS_USAGE, "one of --unit, --all, --console and EVENT at once");
    }
    if (console || *event != '\0') {
        _cleanup_free_ char *file = console ? lab_path(lab, "machines/%s/console.log", machine->name)
                                            : lab_path(lab, "machines/%s/%s.out", machine->name, event);
        return show_file(machine, console ? "boot" : event, file, follow, err);
    }
    return process_alive(&machine->leader)
               ? show_journal(machine, unit, all, follow, err)
               : error_new(err, STATUS_USAGE,
                           "machine %s is off, its journal is gone: `lab logs %s --console` and EVENT are kept",
                           machine->name, machine->name);
}

/* As MACHINE sees it: the server tells hosts apart by their address. */
static int enter_machine_network(const struct machine *machine, struct error **err)
{
    _cleanup_free_ char *path = xasprintf("/proc/%d/ns/net", machine->leader.pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && setns(fd, CLONE_NEWNET) == 0
               ? 0
               : error_new(err, STATUS_USAGE, "machine %s is off and sees no metadata: " MACHINE_OFF, machine->name);
}

int verb_metadata(struct lab *lab, char **argv, struct error **err)
{
    const char *as = NULL;
    if (take_value(&argv, "--as", &as, err) != 0) {
        return -1;
    }
    bool text = take_option(&argv, "--text");
    const char *path = *argv == NULL ? "/self" : *argv;
    if (*argv != NULL && take_end(argv + 1, err) != 0) {
        return -1;
    }
    const struct machine *machine = as != NULL ? lab_find(lab, as, err) : lab->machines[0];
    if (machine == NULL || enter_machine_network(machine, err) != 0) {
        return -1;
    }
    _cleanup_free_ char *url = xasprintf("http://" LAB_GATEWAY "%s%s?pretty=true", *path == '/' ? "" : "/self/", path);
    const char *const headers[] = {text ? "Accept: text/plain" : "Accept: application/json", NULL};
    const struct http_request request = {.url = url, .headers = headers};
    _cleanup_answer_ struct http_answer answer = {0};
    long code = 0;
    if (http_fetch(&request, deadline_in(60000), STATUS_METADATA_UNREACHABLE, &code, &answer, err) != 0) {
        if (code == 404 && err != NULL) {
            error_free(STEAL(*err));
            return error_new(err, STATUS_USAGE, "%s has no %s in its metadata: `lab metadata --as %s` has all of it",
                             machine->name, path, machine->name);
        }
        return -1;
    }
    printf("%s%s", answer.body.data, str_ends(answer.body.data, "\n") ? "" : "\n");
    return 0;
}
