#include <errno.h>
#include <shadow.h>
#include <string.h>

#include "hooks/run.h"
#include "hooks/steps/steps.h"
#include "lib/proc.h"

/* The user guide's own. It opens the console alone: the image's sshd takes no passwords. */
#define FIRST_LOGIN "root:k8s\n"

/* Done once root has any password: one that the user chose stays. */
static int console_done(struct run *run, struct error **err)
{
    (void)run;
    const struct spwd *root = getspnam("root");
    if (root == NULL) {
        return error_errno(err, STATUS_FILE, errno, "cannot read root's entry in /etc/shadow");
    }
    return root->sp_pwdp[0] == '$';
}

static int console_apply(struct run *run, struct error **err)
{
    static const char *const argv[] = {"chpasswd", NULL};
    const struct proc proc = {.argv = argv, .input = FIRST_LOGIN, .deadline = run->deadline};
    return proc_run(&proc, NULL, err);
}

const struct step step_console = {"console login", console_done, console_apply, NULL};
