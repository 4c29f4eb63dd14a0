#include <errno.h>
#include <shadow.h>
#include <string.h>

#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/system/proc.h"

/* The user guide's own. It opens the console alone: the image's sshd takes no passwords. */
#define FIRST_LOGIN "root:k8s\n"

/* Done once root has any password: one that the user chose stays. */
static int console_done(struct run *run, struct error **err)
{
    (void)run;
    char strings[1024];
    struct spwd root;
    struct spwd *found = NULL;
    int error = getspnam_r("root", &root, strings, sizeof strings, &found);
    if (found == NULL) {
        return error_errno(err, STATUS_FILE, error == 0 ? ENOENT : error, "cannot read root's entry in /etc/shadow");
    }
    return found->sp_pwdp[0] == '$';
}

static int console_apply(struct run *run, struct error **err)
{
    static const char *const argv[] = {"chpasswd", NULL};
    const struct proc proc = {.argv = argv, .input = FIRST_LOGIN, .deadline = run->deadline};
    return proc_run(&proc, NULL, err);
}

const struct step step_enable_console_login = {"enable console login", console_done, console_apply, NULL};
