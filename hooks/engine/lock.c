#include "hooks/engine/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/engine/run.h"
#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

struct waiter {
    int lock;
    int woken; /* eventfd */
};

static void *wait_in_flock(void *data)
{
    const struct waiter *waiter = data;
    while (flock(waiter->lock, LOCK_EX) < 0 && errno == EINTR) {
    }
    (void)eventfd_write(waiter->woken, 1);
    return NULL;
}

/* flock has no deadline of its own. On failure the thread stays behind in flock, and ends with the process that is
 * about to end: so the waiter must outlive this frame. */
static int wait_for(int lock, struct deadline deadline, struct error **err)
{
    static struct waiter waiter;
    waiter = (struct waiter){lock, eventfd(0, EFD_CLOEXEC)};
    if (waiter.woken < 0) {
        return error_errno(err, STATUS_FAILED, errno, "cannot wait for the lock");
    }
    pthread_t thread;
    int failure = pthread_create(&thread, NULL, wait_in_flock, &waiter);
    if (failure != 0) {
        return error_errno(err, STATUS_FAILED, failure, "cannot wait for the lock");
    }
    (void)pthread_detach(thread);
    int woken = interrupt_wait_readable(waiter.woken, deadline, err);
    return woken != 0 ? (woken > 0 ? 0 : -1) : error_new(err, STATUS_LOCKED, "still held when the deadline passed");
}

static void read_holder(int fd, char *holder, size_t size)
{
    ssize_t n = pread(fd, holder, size - 1, 0);
    holder[n > 0 ? n : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
}

int lock_take(const struct run *run, struct deadline deadline, int *fd, bool *waited, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, "lock");
    _cleanup_free_ char *directory = run_state_path(run, "");
    if (dir_make(directory, 0700, err) < 0) {
        return -1;
    }
    _cleanup_close_ int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot open the lock %s", path);
    }
    *waited = flock(lock, LOCK_EX | LOCK_NB) < 0;
    if (*waited) {
        char holder[128];
        read_holder(lock, holder, sizeof holder);
        log_notice("waiting for another event on this host: %s", holder);
        if (wait_for(lock, deadline, err) < 0) {
            return error_wrap(err, "%s is held by %s", path, holder);
        }
    }
    _cleanup_free_ char *holder = xasprintf("`%s` (pid %d)\n", run->event, (int)getpid());
    if (ftruncate(lock, 0) < 0 || pwrite(lock, holder, strlen(holder), 0) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot write the lock %s", path);
    }
    *fd = steal_fd(&lock);
    return 0;
}
