/* AppCenter's agent in a machine, for the confd files of another app. */
#include <errno.h>
#include <unistd.h>

#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/verb.h"

#define PLACE "/run/lab-agent"

/* The machine sees neither DIRECTORY nor the program: both are copied. */
static int bring(const struct lab *lab, const struct machine *machine, const char *directory, struct error **err)
{
    struct deadline deadline = deadline_in(60000);
    _cleanup_free_ char *place = xasprintf("/proc/%d/root" PLACE, machine->leader.pid);
    _cleanup_free_ char *program = xasprintf("%s/agent", lab->bin);
    _cleanup_free_ char *to = xasprintf("%s/agent", place);
    _cleanup_free_ char *confd = xasprintf("%s/confd", place);
    if (access(program, X_OK) != 0) {
        return error_new(err, STATUS_USAGE, "%s is not built: `make deps` installs Go, `make` builds it", program);
    }
    return proc_exec(deadline, err, "rm", "-rf", place, NULL) == 0 &&
                   proc_exec(deadline, err, "mkdir", "-m", "0700", place, NULL) == 0 &&
                   proc_exec(deadline, err, "cp", program, to, NULL) == 0 &&
                   proc_exec(deadline, err, "cp", "-rL", directory, confd, NULL) == 0
               ? 0
               : -1;
}

int verb_agent(struct lab *lab, char **argv, struct error **err)
{
    static char *const watch[] = {PLACE "/agent", "-confdir", PLACE "/confd", "-node", "http://" LAB_GATEWAY, NULL};
    static char *const once[] = {PLACE "/agent",        "-onetime", "-confdir", PLACE "/confd", "-node",
                                 "http://" LAB_GATEWAY, NULL};
    bool ends = take_option(&argv, "--once");
    if (strv_length(argv) != 2) {
        return error_new(err, STATUS_USAGE, "agent [--once] MACHINE DIRECTORY");
    }
    struct machine *machine = lab_find(lab, argv[0], err);
    if (machine == NULL) {
        return -1;
    }
    _cleanup_free_ char *resources = path_join(argv[1], "conf.d");
    if (access(resources, R_OK) != 0) {
        return error_errno(err, STATUS_USAGE, errno, "%s: its conf.d and templates are wanted; reading %s", argv[1],
                           resources);
    }
    if (need_machine(machine, err) != 0) {
        return -1;
    }
    if (bring(lab, machine, argv[1], err) != 0) {
        return -1;
    }
    _cleanup_free_ char *action = xasprintf("agent %s", argv[1]);
    record_action(lab, machine, action);
    return machine_exec(machine, ends ? once : watch, err);
}
