#include "lib/system/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/core/interrupt.h"

/* Not the caller's: AppCenter's agent, cron and a login shell each have another. */
#define SYSTEM_PATH "/opt/kubernetes/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { TAIL = 4096, GRACE_MS = 5000, OUTPUT_LIMIT = 64 << 20 };

struct child {
    pid_t pid;
    int pidfd, out, err; /* pipes: -1 once closed */
    struct buffer output;
    struct buffer tail;
    bool too_long; /* more output than is kept */
};

static void child_close(struct child *child)
{
    util_closep(&child->pidfd);
    util_closep(&child->out);
    util_closep(&child->err);
    buffer_free(&child->output);
    buffer_free(&child->tail);
}

/* "kubectl drain node-1": what identifies the command, without options and what follows them. */
static char *short_name(const char *const *argv)
{
    struct buffer name = {0};
    const char *slash = strrchr(argv[0], '/');
    buffer_puts(&name, slash == NULL ? argv[0] : slash + 1);
    for (size_t i = 1; i < 4 && argv[i] != NULL && argv[i][0] != '-'; i++) {
        buffer_printf(&name, " %.80s", argv[i]);
    }
    return name.data;
}

static char *find_program(const char *name, struct error **err)
{
    if (strchr(name, '/') != NULL) {
        return xstrdup(name);
    }
    for (const char *dir = SYSTEM_PATH; *dir != '\0';) {
        size_t len = strcspn(dir, ":");
        char *candidate = xasprintf("%.*s/%s", (int)len, dir, name);
        if (access(candidate, X_OK) == 0) {
            return candidate;
        }
        free(candidate);
        dir += len + (dir[len] == ':');
    }
    error_new(err, STATUS_COMMAND, "%s: no such program in %s; the image lacks it", name, SYSTEM_PATH);
    return NULL;
}

static char **make_environment(const char *const *extra)
{
    char **environment = NULL;
    strv_push(&environment, "PATH=" SYSTEM_PATH);
    strv_push(&environment, "HOME=/root");
    strv_push(&environment, "LANG=C.UTF-8");
    for (; extra != NULL && *extra != NULL; extra++) {
        strv_push(&environment, *extra);
    }
    return environment;
}

/* The input lies in anonymous memory: a child that never reads it cannot block us, and it is on no disk. */
static int open_input(const char *input, struct error **err)
{
    if (input == NULL) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return null >= 0 ? null : error_errno(err, STATUS_COMMAND, errno, "opening /dev/null");
    }
    int fd = memfd_create("input", MFD_CLOEXEC);
    size_t len = strlen(input);
    if (fd < 0 || write(fd, input, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0) {
        util_closep(&fd);
        return error_errno(err, STATUS_COMMAND, errno, "keeping the input of a program in memory");
    }
    return fd;
}

/* In the child: only async-signal-safe calls, as the caller may have threads. */
static void __attribute__((noreturn))
become(const char *path, const char *const *argv, char **environment, const int fds[3], int report, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && setsid() > 0 && dup2(fds[0], 0) == 0 && dup2(fds[1], 1) == 1 && dup2(fds[2], 2) == 2) {
        (void)signal(SIGPIPE, SIG_DFL);
        interrupt_child();
        (void)close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC);
        execve(path, (char *const *)argv, environment);
    }
    int error = errno;
    (void)!write(report, &error, sizeof error);
    _exit(127);
}

static int open_pipe(int *ours, int *theirs, struct error **err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return error_errno(err, STATUS_COMMAND, errno, "making a pipe");
    }
    *ours = ends[0];
    *theirs = ends[1];
    return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0 ? 0 : error_errno(err, STATUS_COMMAND, errno, "setting up a pipe");
}

static int child_start(struct child *child, const struct proc *proc, struct error **err)
{
    _cleanup_free_ char *path = find_program(proc->argv[0], err);
    if (path == NULL) {
        return -1;
    }
    _cleanup_strv_ char **environment = make_environment(proc->environment);
    _cleanup_close_ int in = open_input(proc->input, err);
    _cleanup_close_ int out = -1;
    _cleanup_close_ int error_out = -1;
    _cleanup_close_ int report = -1;
    _cleanup_close_ int reported = -1;
    if (in < 0 || open_pipe(&child->out, &out, err) < 0 || open_pipe(&child->err, &error_out, err) < 0 ||
        open_pipe(&reported, &report, err) < 0) {
        return -1;
    }
    pid_t parent = getpid();
    child->pid = fork();
    if (child->pid < 0) {
        return error_errno(err, STATUS_COMMAND, errno, "%s: starting it", path);
    }
    if (child->pid == 0) {
        become(path, proc->argv, environment, (const int[]){in, out, error_out}, report, parent);
    }
    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd < 0) {
        int errnum = errno;
        (void)kill(child->pid, SIGKILL);
        (void)waitpid(child->pid, NULL, 0);
        return error_errno(err, STATUS_COMMAND, errnum, "%s: watching it", path);
    }
    util_closep(&report);
    report = -1;
    (void)fcntl(reported, F_SETFL, 0);
    int error = 0;
    if (read(reported, &error, sizeof error) == (ssize_t)sizeof error) {
        (void)waitpid(child->pid, NULL, 0);
        return error_errno(err, STATUS_COMMAND, error, "%s: starting it", path);
    }
    return 0;
}

static void keep_tail(struct buffer *tail, const char *data, size_t len)
{
    buffer_append(tail, data, len);
    if (tail->len > (size_t)2 * TAIL) {
        memmove(tail->data, tail->data + tail->len - TAIL, TAIL + 1);
        tail->len = TAIL;
    }
}

/* Takes what a pipe holds now, but no more than a pipe can hold: a child that never stops printing must not keep us
 * from looking at the clock. Closes it at its end. */
static void take(struct child *child, int *pipe, struct buffer *output)
{
    char chunk[16384];
    ssize_t n = 1;
    for (int i = 0; *pipe >= 0 && i < 64 && (n = read(*pipe, chunk, sizeof chunk)) > 0; i++) {
        keep_tail(&child->tail, chunk, (size_t)n);
        if (output != NULL && output->len + (size_t)n > OUTPUT_LIMIT) {
            child->too_long = true;
        } else if (output != NULL) {
            buffer_append(output, chunk, (size_t)n);
        }
    }
    if (*pipe >= 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))) {
        util_closep(pipe);
        *pipe = -1;
    }
}

enum why { EXITED, DEADLINE, INTERRUPTED };

/* Waits for the leader's exit and returns what made us kill it, if we did. A grandchild may hold the pipes open after
 * that: it is not waited for. Nor is a leader for ever that the kernel cannot end, being stuck in a device. */
static enum why child_wait(struct child *child, const struct proc *proc)
{
    static const int signals[] = {SIGTERM, SIGKILL};
    enum why why = EXITED;
    size_t sent = 0;
    struct deadline deadline = proc->deadline;
    struct buffer *output = proc->keep_output ? &child->output : NULL;
    for (;;) {
        struct pollfd fds[] = {
            {.fd = child->pidfd, .events = POLLIN},
            {.fd = child->out, .events = POLLIN},
            {.fd = child->err, .events = POLLIN},
            {.fd = why == EXITED ? interrupt_fd() : -1, .events = POLLIN},
        };
        int64_t left = deadline_left(deadline);
        (void)poll(fds, ELEMENTS(fds), left > INT_MAX ? INT_MAX : (int)left);
        take(child, &child->out, output);
        take(child, &child->err, NULL);
        if (fds[0].revents != 0) {
            return why;
        }
        if (fds[3].revents == 0 && deadline_left(deadline) > 0) {
            continue;
        }
        if (sent == ELEMENTS(signals)) {
            return why;
        }
        if (why == EXITED) {
            why = fds[3].revents != 0 ? INTERRUPTED : DEADLINE;
        }
        (void)kill(-child->pid, signals[sent++]);
        deadline = deadline_in(GRACE_MS);
    }
}

/* The whole lines among the last TAIL bytes. */
static char *last_lines(const struct buffer *tail)
{
    const char *start = tail->len == 0 ? "" : tail->data;
    if (tail->len > TAIL) {
        start = tail->data + tail->len - TAIL;
        const char *line = strchr(start, '\n');
        start = line != NULL && line[1] != '\0' ? line + 1 : start;
    }
    size_t len = strlen(start);
    while (len > 0 && start[len - 1] == '\n') {
        len--;
    }
    return xstrndup(start, len);
}

static int check_exit(const struct proc *proc, const siginfo_t *end, enum why why, int64_t ms, const char *tail,
                      struct error **err)
{
    _cleanup_free_ char *name = short_name(proc->argv);
    const char *before = *tail == '\0' ? "" : "; it printed:\n";
    if (why == INTERRUPTED) {
        return interrupt_check(err) < 0 ? error_wrap(err, "running %s", name) : 0;
    }
    if (why == DEADLINE) {
        return error_new(err, STATUS_DEADLINE, "%s: timed out after %.1f s%s%s", name, (double)ms / 1000, before, tail);
    }
    if (end->si_code != CLD_EXITED) {
        return error_new(err, STATUS_COMMAND, "%s: killed by signal %d (%s)%s%s", name, end->si_status,
                         sigdescr_np(end->si_status) ?: "real-time", before, tail);
    }
    if (end->si_status != 0 && end->si_status != proc->ok_status) {
        return error_new(err, STATUS_COMMAND, "%s: exit status %d%s%s", name, end->si_status, before, tail);
    }
    return 0;
}

int proc_run(const struct proc *proc, struct proc_result *result, struct error **err)
{
    struct proc_result ignored __attribute__((cleanup(proc_result_free))) = {0};
    struct proc_result *to = result == NULL ? &ignored : result;
    *to = (struct proc_result){.status = -1};
    if (interrupt_check(err) < 0) {
        return -1;
    }
    struct child child __attribute__((cleanup(child_close))) = {.pidfd = -1, .out = -1, .err = -1};
    int64_t started = clock_ms();
    if (child_start(&child, proc, err) < 0) {
        return -1;
    }
    enum why why = child_wait(&child, proc);
    if (why != EXITED) {
        /* Before the leader is reaped, so that the group's number is still its own. */
        (void)kill(-child.pid, SIGKILL);
    }
    siginfo_t end = {0};
    (void)waitid(P_PID, (id_t)child.pid, &end, WEXITED | (why == EXITED ? 0 : WNOHANG));
    to->ms = clock_ms() - started;
    to->status = end.si_code == CLD_EXITED ? end.si_status : -1;
    to->tail = last_lines(&child.tail);
    if (proc->keep_output) {
        to->output = child.output.data == NULL ? xstrdup("") : STEAL(child.output.data);
    }
    if (child.too_long) {
        return error_new(err, STATUS_COMMAND, "%s: printed more than %d MiB", proc->argv[0], OUTPUT_LIMIT >> 20);
    }
    return check_exit(proc, &end, why, to->ms, to->tail, err);
}

void proc_result_free(struct proc_result *result)
{
    free(result->output);
    free(result->tail);
    *result = (struct proc_result){0};
}

int proc_exec(struct deadline deadline, struct error **err, const char *program, ...)
{
    _cleanup_strv_ char **argv = NULL;
    strv_push(&argv, program);
    va_list args;
    va_start(args, program);
    for (const char *arg = va_arg(args, const char *); arg != NULL; arg = va_arg(args, const char *)) {
        strv_push(&argv, arg);
    }
    va_end(args);
    return proc_run(&(struct proc){.argv = (const char *const *)argv, .deadline = deadline}, NULL, err);
}
