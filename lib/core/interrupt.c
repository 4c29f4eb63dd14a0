#include "lib/core/interrupt.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/signalfd.h>

static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

static int descriptor = -1;
static sigset_t taken;
static sigset_t before;

/* What the caller ignores (nohup, a shell's background job) stays ignored: a signalfd would take it all the same. */
static bool ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int interrupt_open(struct error **err)
{
    if (descriptor >= 0) {
        return 0;
    }
    sigemptyset(&taken);
    for (size_t i = 0; i < ELEMENTS(signals); i++) {
        if (!ignored(signals[i])) {
            sigaddset(&taken, signals[i]);
        }
    }
    if (sigprocmask(SIG_BLOCK, &taken, &before) < 0) {
        return error_errno(err, STATUS_FAILED, errno, "blocking the termination signals");
    }
    descriptor = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor < 0) {
        return error_errno(err, STATUS_FAILED, errno, "opening a descriptor for the termination signals");
    }
    return 0;
}

int interrupt_fd(void)
{
    return descriptor;
}

/* The signals stay pending because nobody reads the descriptor: that is the memory of what came. */
static int pending_signal(void)
{
    sigset_t pending;
    if (descriptor < 0 || sigpending(&pending) < 0) {
        return 0;
    }
    for (size_t i = 0; i < ELEMENTS(signals); i++) {
        if (sigismember(&taken, signals[i]) == 1 && sigismember(&pending, signals[i]) == 1) {
            return signals[i];
        }
    }
    return 0;
}

bool interrupted(void)
{
    return pending_signal() != 0;
}

int interrupt_check(struct error **err)
{
    int number = pending_signal();
    if (number == 0) {
        return 0;
    }
    return error_new(err, STATUS_INTERRUPTED, "terminated by SIG%s", sigabbrev_np(number));
}

int interrupt_sleep(int64_t ms, struct deadline deadline, struct error **err)
{
    return interrupt_wait_readable(-1, deadline_earlier(deadline, deadline_in(ms)), err) < 0 ? -1 : 0;
}

int interrupt_wait_readable(int fd, struct deadline deadline, struct error **err)
{
    return interrupt_wait(fd, POLLIN, deadline, err);
}

int interrupt_wait(int fd, short events, struct deadline deadline, struct error **err)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = descriptor, .events = POLLIN}};
        int64_t left = deadline_left(deadline);
        int ready = poll(fds, ELEMENTS(fds), left > INT_MAX ? INT_MAX : (int)left);
        if (ready < 0 && errno != EINTR) {
            return error_errno(err, STATUS_FAILED, errno, "waiting");
        }
        if (interrupt_check(err) < 0) {
            return -1;
        }
        if (ready > 0 && fds[0].revents != 0) {
            return 1;
        }
        if (left == 0) {
            return 0;
        }
    }
}

void interrupt_child(void)
{
    if (descriptor >= 0) {
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
    }
}
