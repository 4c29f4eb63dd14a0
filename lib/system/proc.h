/* Child processes: an argument vector, a deadline, the end of the output kept, killed together with its children. */
#ifndef LIB_SYSTEM_PROC_H
#define LIB_SYSTEM_PROC_H

#include <stdbool.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

struct proc {
    const char *const *argv;        /* NULL-terminated; argv[0] looked up in PATH of the fixed system path */
    const char *const *environment; /* NULL-terminated "NAME=value" beside PATH, HOME, LANG=C.UTF-8; NULL: none */
    const char *input;              /* given on stdin and closed; NULL: /dev/null. For secrets. */
    bool keep_output;               /* stdout whole, not only its tail */
    int ok_status;                  /* an exit status beside 0 that is not a failure; 0: none */
    struct deadline deadline;       /* then SIGTERM, SIGKILL 5 s later, to its whole process group */
};

struct proc_result {
    int status;   /* exit status */
    char *output; /* stdout, when kept */
    char *tail;   /* last lines of stdout and stderr together, 4 KiB at most */
    int64_t ms;
};

/* Waits for the end, by poll on pidfd and pipes. STATUS_COMMAND when it cannot be started, exits otherwise than
 * expected or is killed; STATUS_DEADLINE; STATUS_INTERRUPTED. The message holds argv[0], its first plain arguments, the
 * status, and the last lines of output. RESULT may be NULL; it is filled in either way, and freed by proc_result_free.
 */
int proc_run(const struct proc *proc, struct proc_result *result, struct error **err);
void proc_result_free(struct proc_result *result);
#define _cleanup_proc_ _cleanup_(proc_result_free)

/* proc_run of "PROGRAM", ... within DEADLINE, nothing kept. End the arguments with NULL. */
int proc_exec(struct deadline deadline, struct error **err, const char *program, ...) __attribute__((sentinel));

#endif
