#include "lib/system/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int program_start(struct error **err)
{
    static const struct rlimit none = {0, 0};
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            continue;
        }
        /* open takes the lowest number that is free: this one */
        int opened = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
        if (opened != fd) {
            return error_errno(err, STATUS_FAILED, errno, "cannot open /dev/null in place of descriptor %d", fd);
        }
    }
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_CORE, &none) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return error_errno(err, STATUS_FAILED, errno, "cannot set up this process");
    }
    return 0;
}

int program_end(struct error **err)
{
    bool lost = ferror(stdout) != 0;
    int why = 0;
    if (fclose(stdout) != 0) {
        lost = true;
        why = errno;
    }
    if (!lost) {
        return 0;
    }
    return why == 0 ? error_new(err, STATUS_FAILED, "the result could not be written to standard output")
                    : error_errno(err, STATUS_FAILED, why, "the result could not be written to standard output");
}
