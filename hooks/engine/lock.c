#include "hooks/engine/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
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
    _cleanup_free_ struct waiter *waiter = data;
    while (flock(waiter->lock, LOCK_EX) < 0 && errno == EINTR) {
    }
    (void)eventfd_write(waiter->woken, 1);
    return NULL;
}

/* flock has no deadline of its own. On failure the thread stays behind in flock, and ends with the process that is
 * about to end. */
static int wait_for(int lock, struct deadline deadline, struct error **err)
{
    int woken = eventfd(0, EFD_CLOEXEC);
    if (woken < 0) {
        return error_errno(err, STATUS_FAILED, errno, "cannot wait for the lock");
    }
    struct waiter *waiter = xcalloc(1, sizeof *waiter);
    pthread_t thread;
    *waiter = (struct waiter){lock, woken};
    int failure = pthread_create(&thread, NULL, wait_in_flock, waiter);
    if (failure != 0) {
        free(waiter);
        return error_errno(err, STATUS_FAILED, failure, "cannot wait for the lock");
    }
    (void)pthread_detach(thread);
    int ready = interrupt_wait_readable(woken, deadline, err);
    return ready != 0 ? (ready > 0 ? 0 : -1) : error_new(err, STATUS_LOCKED, "still held when the deadline passed");
}

/* The state directory, or the nearest one above that is there: a full or read-only disk has none made. */
static int open_place(const char *directory)
{
    _cleanup_free_ char *place = xstrdup(directory);
    for (;;) {
        int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char *slash = strrchr(place, '/');
        if (fd >= 0 || slash == NULL || strcmp(place, "/") == 0) {
            return fd;
        }
        slash[slash == place ? 1 : 0] = '\0';
    }
}

/* "`EVENT` (pid N)". What is written there may be of an earlier event, where the present one could not write. */
static char *read_holder(const char *path)
{
    _cleanup_free_ char *text = NULL;
    const char *number = file_read(path, 256, &text, NULL, NULL) < 0 ? NULL : strstr(text, "` (pid ");
    long pid = number == NULL ? 0 : strtol(number + strlen("` (pid "), NULL, 10);
    if (pid <= 0 || pid > INT_MAX || (kill((pid_t)pid, 0) < 0 && errno == ESRCH)) {
        return xstrdup("an event that left no name");
    }
    text[strcspn(text, "\n")] = '\0';
    return STEAL(text);
}

/* For those who wait: a failure to write it never fails the event. */
static void write_holder(const char *path, const char *event)
{
    struct stat st;
    _cleanup_free_ char *holder = xasprintf("`%s` (pid %d)\n", event, (int)getpid());
    size_t len = strlen(holder);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || pwrite(fd, holder, len, 0) != (ssize_t)len ||
        ftruncate(fd, (off_t)len) < 0) {
        log_debug("%s: cannot write who holds the lock", path);
    }
}

int lock_take(const struct run *run, struct deadline deadline, int *fd, bool *waited, struct error **err)
{
    _cleanup_error_ struct error *not_made = NULL;
    _cleanup_free_ char *path = run_state_path(run, "lock");
    _cleanup_free_ char *directory = run_state_path(run, "");
    if (dir_make(directory, 0700, &not_made) < 0) {
        log_warning("%s", not_made->message);
    }
    _cleanup_close_ int lock = open_place(directory);
    if (lock < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot open %s to lock it", directory);
    }
    *waited = flock(lock, LOCK_EX | LOCK_NB) < 0;
    if (*waited) {
        _cleanup_free_ char *holder = read_holder(path);
        log_notice("waiting for another event on this host: %s", holder);
        if (wait_for(lock, deadline, err) < 0) {
            return error_wrap(err, "%s is locked by %s", directory, holder);
        }
    }
    write_holder(path, run->event);
    *fd = steal_fd(&lock);
    return 0;
}
