#include "tests/lab/lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/system/file.h"

/* Field 22 of /proc/PID/stat; the command before it may hold anything, so fields count from the last ")". */
static uint64_t start_time(pid_t pid)
{
    _cleanup_free_ char *path = xasprintf("/proc/%d/stat", pid);
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    char line[2048];
    if (f == NULL || fgets(line, sizeof line, f) == NULL) {
        return 0;
    }
    char *field = strrchr(line, ')');
    if (field == NULL || field[1] == '\0' || field[2] == 'Z') {
        return 0;
    }
    for (int i = 2; i < 22 && field != NULL; i++) {
        field = strchr(field + 1, ' ');
    }
    return field == NULL ? 0 : strtoull(field, NULL, 10);
}

struct process process_of(pid_t pid)
{
    return (struct process){pid, start_time(pid)};
}

bool process_alive(const struct process *process)
{
    return process->pid > 0 && process->start != 0 && start_time(process->pid) == process->start;
}

static bool gone(int pidfd, struct deadline deadline)
{
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    for (int64_t left = deadline_left(deadline); left > 0; left = deadline_left(deadline)) {
        int n = poll(&end, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0) {
            return true;
        }
        if (n < 0 && errno != EINTR) {
            return true;
        }
    }
    return false;
}

void process_end(struct process *process, int signal, struct deadline deadline)
{
    _cleanup_close_ int pidfd = process->pid > 0 ? pidfd_open(process->pid, 0) : -1;
    if (pidfd >= 0 && process_alive(process)) {
        (void)pidfd_send_signal(pidfd, signal, NULL, 0);
        if (!gone(pidfd, deadline)) {
            (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
            (void)gone(pidfd, deadline_in(10000));
        }
    }
    (void)waitpid(process->pid, NULL, WNOHANG);
    *process = (struct process){0};
}

static void child(const char *const *argv, int log, int report, int (*prepare)(void *, struct error **), void *data)
{
    _cleanup_error_ struct error *err = NULL;
    interrupt_child();
    (void)setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) {
        _exit(127);
    }
    if (prepare == NULL || prepare(data, &err) == 0) {
        (void)execvp(argv[0], (char *const *)argv);
        (void)error_errno(&err, STATUS_COMMAND, errno, "running %s", argv[0]);
    }
    (void)!write(report, err->message, strlen(err->message));
    _exit(127);
}

int process_spawn(struct process *process, const char *const *argv, const char *log,
                  int (*prepare)(void *data, struct error **err), void *data, struct error **err)
{
    _cleanup_close_ int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int pipes[2];
    if (out < 0) {
        return error_errno(err, STATUS_FILE, errno, "opening %s", log);
    }
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        return error_errno(err, STATUS_COMMAND, errno, "making a pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        child(argv, out, pipes[1], prepare, data);
    }
    int fork_errno = errno;
    close(pipes[1]);
    /* The write end closes at exec: what can be read before that is why there was none. */
    char message[1024];
    ssize_t n = pid < 0 ? 0 : read(pipes[0], message, sizeof message - 1);
    close(pipes[0]);
    if (pid < 0) {
        return error_errno(err, STATUS_COMMAND, fork_errno, "starting %s", argv[0]);
    }
    if (n > 0) {
        message[n] = '\0';
        (void)waitpid(pid, NULL, 0);
        return error_new(err, STATUS_COMMAND, "starting %s: %s", argv[0], message);
    }
    *process = process_of(pid);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    (void)(type == FTW_DP ? rmdir(path) : unlink(path));
    return 0;
}

int files_remove(const char *path, struct error **err)
{
    (void)nftw(path, remove_one, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (access(path, F_OK) == 0) {
        return error_new(err, STATUS_FILE, "removing %s: something in it cannot be removed", path);
    }
    return 0;
}

int text_put(const char *path, mode_t mode, struct error **err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    _cleanup_free_ char *text = NULL;
    if (vasprintf(&text, format, args) < 0) {
        abort();
    }
    va_end(args);
    struct file_spec spec = {.path = path, .data = text, .len = strlen(text), .mode = mode};
    return file_put(&spec, NULL, err);
}

int process_await_line(const struct process *process, const char *log, const char *words, struct deadline deadline,
                       struct error **err)
{
    for (;;) {
        char line[256];
        _cleanup_fclose_ FILE *f = fopen(log, "re");
        if (f != NULL && fgets(line, sizeof line, f) != NULL && strchr(line, '\n') != NULL) {
            return str_starts(line, words) ? 0 : error_new(err, STATUS_FAILED, "%s: %s", log, line);
        }
        if (!process_alive(process) || deadline_left(deadline) == 0) {
            return error_new(err, STATUS_FAILED, "the server did not start; see %s", log);
        }
        if (interrupt_sleep(20, deadline, err) != 0) {
            return -1;
        }
    }
}
