#include "tests/lab/killer/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "tests/lab/killer/disk.h"

/* Where the argument of a call is that says what it changes. */
enum { NOTHING = -1 };
enum {
    OPTIONS = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
              PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL
};
enum kind { PATH, DESCRIPTOR, WRITE, SYNC, SYNC_ALL, OPEN, PLAIN };

static const struct traced {
    long number;
    const char *name;
    enum kind kind;
    int argument; /* path or descriptor */
} traced[] = {
    {SYS_open, "open", OPEN, 0},
    {SYS_creat, "creat", PATH, 0},
    {SYS_openat, "openat", OPEN, 1},
    {SYS_write, "write", WRITE, 0},
    {SYS_pwrite64, "pwrite", WRITE, 0},
    {SYS_writev, "writev", DESCRIPTOR, 0},
    {SYS_pwritev, "pwritev", DESCRIPTOR, 0},
    {SYS_sendto, "sendto", DESCRIPTOR, 0},
    {SYS_sendmsg, "sendmsg", DESCRIPTOR, 0},
    {SYS_sendfile, "sendfile", DESCRIPTOR, 0},
    {SYS_copy_file_range, "copy_file_range", DESCRIPTOR, 2},
    {SYS_fallocate, "fallocate", DESCRIPTOR, 0},
    {SYS_truncate, "truncate", PATH, 0},
    {SYS_ftruncate, "ftruncate", DESCRIPTOR, 0},
    {SYS_rename, "rename", PATH, 1},
    {SYS_renameat, "renameat", PATH, 3},
    {SYS_renameat2, "renameat2", PATH, 3},
    {SYS_link, "link", PATH, 1},
    {SYS_linkat, "linkat", PATH, 3},
    {SYS_symlink, "symlink", PATH, 1},
    {SYS_symlinkat, "symlinkat", PATH, 2},
    {SYS_unlink, "unlink", PATH, 0},
    {SYS_unlinkat, "unlinkat", PATH, 1},
    {SYS_rmdir, "rmdir", PATH, 0},
    {SYS_mkdir, "mkdir", PATH, 0},
    {SYS_mkdirat, "mkdirat", PATH, 1},
    {SYS_mknod, "mknod", PATH, 0},
    {SYS_mknodat, "mknodat", PATH, 1},
    {SYS_chmod, "chmod", PATH, 0},
    {SYS_fchmodat, "fchmodat", PATH, 1},
    {SYS_fchmod, "fchmod", DESCRIPTOR, 0},
    {SYS_chown, "chown", PATH, 0},
    {SYS_lchown, "lchown", PATH, 0},
    {SYS_fchownat, "fchownat", PATH, 1},
    {SYS_fchown, "fchown", DESCRIPTOR, 0},
    {SYS_mount, "mount", PATH, 1},
    {SYS_umount2, "umount", PATH, 0},
    {SYS_fsync, "fsync", SYNC, 0},
    {SYS_fdatasync, "fdatasync", SYNC, 0},
    {SYS_syncfs, "syncfs", SYNC_ALL, 0},
    {SYS_sync, "sync", SYNC_ALL, NOTHING},
    {SYS_execve, "execve", PATH, 0},
    {SYS_exit_group, "exit_group", PLAIN, NOTHING},
};

static const struct traced *find(long number)
{
    for (size_t i = 0; i < ELEMENTS(traced); i++) {
        if (traced[i].number == number) {
            return &traced[i];
        }
    }
    return NULL;
}

/* Only the calls of the table stop: Go's programs make very many others. */
static int install_filter(void)
{
    static struct sock_filter program[2 * ELEMENTS(traced) + 8];
    size_t n = 0;
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < ELEMENTS(traced); i++) {
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)traced[i].number, 0, 1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog filter = {.len = (unsigned short)n, .filter = program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1
                                                      : (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

static void __attribute__((noreturn)) become(const struct tracer *tracer)
{
    bool in_root = *tracer->root == '\0' || (chroot(tracer->root) == 0 && chdir("/") == 0);
    if (in_root && ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 && raise(SIGSTOP) == 0 && install_filter() == 0) {
        execv(tracer->argv[0], tracer->argv);
    }
    perror("killer: cannot start the program");
    _exit(127);
}

struct session {
    struct tracer *tracer;
    struct disk disk;
    pid_t first;
    struct pending {
        pid_t pid;
        enum kind kind; /* SYNC, SYNC_ALL: to be journalled when it returns; WRITE: killed when it returns */
        char *path;
    } * pending;
    size_t n_pending;
    pid_t *pids;
    size_t n_pids;
};

static void add_pid(struct session *session, pid_t pid)
{
    for (size_t i = 0; i < session->n_pids; i++) {
        if (session->pids[i] == pid) {
            return;
        }
    }
    session->pids = xrealloc(session->pids, (session->n_pids + 1) * sizeof *session->pids);
    session->pids[session->n_pids++] = pid;
}

static void drop_pid(struct session *session, pid_t pid)
{
    for (size_t i = 0; i < session->n_pids; i++) {
        if (session->pids[i] == pid) {
            session->pids[i] = session->pids[--session->n_pids];
            return;
        }
    }
}

/* What is there of a string at an address of PID: the page behind it may not be. */
static void read_string(pid_t pid, unsigned long long at, char *text, size_t size)
{
    _cleanup_free_ char *path = xasprintf("/proc/%d/mem", (int)pid);
    _cleanup_close_ int memory = open(path, O_RDONLY | O_CLOEXEC);
    size_t page = 4096 - (at & 4095);
    size_t len = page < size - 1 ? page : size - 1;
    ssize_t n = memory < 0 ? -1 : pread(memory, text, len, (off_t)at);
    text[n < 0 ? 0 : n] = '\0';
    if (n == (ssize_t)len && memchr(text, '\0', len) == NULL && len < size - 1) {
        n = pread(memory, text + len, size - 1 - len, (off_t)(at + len));
        text[len + (size_t)(n < 0 ? 0 : n)] = '\0';
    }
}

static void descriptor_target(pid_t pid, unsigned long long fd, char *text, size_t size)
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)pid, (int)fd);
    ssize_t n = readlink(link, text, size - 1);
    text[n < 0 ? 0 : n] = '\0';
}

static unsigned long long argument(const struct user_regs_struct *regs, int i)
{
    const unsigned long long all[] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
    return all[i];
}

static bool opens_for_writing(const struct traced *call, const struct user_regs_struct *regs)
{
    unsigned long long flags = argument(regs, call->argument + 1);
    return (flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

/* Pipes and memory are gone with the program; what goes to a socket or to the machine's disk is not. */
static bool lasting(const char *root, const char *target)
{
    static const char *const passing[] = {"/dev/", "/proc/", "/sys/", "/memfd:"};
    if (str_starts(target, "socket:")) {
        return true;
    }
    const char *path = str_starts(target, root) ? target + strlen(root) : target;
    for (size_t i = 0; i < ELEMENTS(passing); i++) {
        if (str_starts(path, passing[i])) {
            return false;
        }
    }
    return *path == '/';
}

/* False when this call changes nothing. */
static bool look_at(const struct session *session, pid_t pid, const struct user_regs_struct *regs,
                    const struct traced *call, char *what, size_t size)
{
    *what = '\0';
    switch (call->kind) {
    case OPEN:
        if (!opens_for_writing(call, regs)) {
            return false;
        }
        read_string(pid, argument(regs, call->argument), what, size);
        return lasting(session->tracer->root, what) || *what != '/';
    case PATH:
        read_string(pid, argument(regs, call->argument), what, size);
        return true;
    case DESCRIPTOR:
    case WRITE:
    case SYNC:
        descriptor_target(pid, argument(regs, call->argument), what, size);
        return lasting(session->tracer->root, what);
    case SYNC_ALL:
        return true;
    case PLAIN:
        return pid == session->first;
    }
    return false;
}

static void kill_all(struct session *session)
{
    for (size_t i = 0; i < session->n_pids; i++) {
        (void)kill(session->pids[i], SIGKILL);
    }
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (pid > 0 && WIFSTOPPED(status)) {
            (void)kill(pid, SIGKILL); /* a child that was born meanwhile */
        }
    }
    session->tracer->killed = true;
    session->tracer->status = 128 + SIGKILL;
}

static void await_return(struct session *session, pid_t pid, enum kind kind, const char *path)
{
    session->pending = xrealloc(session->pending, (session->n_pending + 1) * sizeof *session->pending);
    session->pending[session->n_pending++] = (struct pending){pid, kind, xstrdup(path)};
}

/* How the stopped PID goes on. */
enum verdict { GO_ON, TO_RETURN, KILL };

static enum verdict at_call(struct session *session, pid_t pid)
{
    struct tracer *tracer = session->tracer;
    struct user_regs_struct regs;
    char what[PATH_MAX];
    if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0) {
        return GO_ON;
    }
    const struct traced *call = find((long)regs.orig_rax);
    if (call == NULL || !look_at(session, pid, &regs, call, what, sizeof what)) {
        return GO_ON;
    }
    tracer->calls++;
    size_t root = strlen(tracer->root);
    const char *shown = root > 0 && str_starts(what, tracer->root) ? what + root : what;
    unsigned long long bytes = call->kind == WRITE ? regs.rdx : 0;
    if (tracer->points != NULL) {
        (void)fprintf(tracer->points, "%ld %s %llu %s\n", tracer->calls, call->name, bytes, shown);
    }
    if (tracer->calls == tracer->kill_at) {
        if (!tracer->half || bytes < 2) {
            return KILL;
        }
        regs.rdx = bytes / 2;
        await_return(session, pid, WRITE, "");
        return ptrace(PTRACE_SETREGS, pid, 0, &regs) < 0 ? KILL : TO_RETURN;
    }
    if (tracer->disk != NULL && (call->kind == SYNC || call->kind == SYNC_ALL)) {
        await_return(session, pid, call->kind, shown);
        return TO_RETURN;
    }
    return GO_ON;
}

static enum verdict at_return(struct session *session, pid_t pid, struct error **err)
{
    struct user_regs_struct regs;
    for (size_t i = 0; i < session->n_pending; i++) {
        struct pending found = session->pending[i];
        if (found.pid != pid) {
            continue;
        }
        _cleanup_free_ char *path = found.path;
        session->pending[i] = session->pending[--session->n_pending];
        if (found.kind == WRITE) {
            return KILL;
        }
        if (ptrace(PTRACE_GETREGS, pid, 0, &regs) == 0 && (long)regs.rax == 0) {
            (void)(found.kind == SYNC ? disk_sync(&session->disk, path, err) : disk_sync_all(&session->disk, err));
        }
    }
    return GO_ON;
}

/* One stop of PID: what it was, and how it goes on. */
static int at_stop(struct session *session, pid_t pid, int status, struct error **err)
{
    int signal = WSTOPSIG(status);
    int event = status >> 16;
    enum verdict verdict = GO_ON;
    if (signal == (SIGTRAP | 0x80)) {
        verdict = at_return(session, pid, err);
        signal = 0;
    } else if (event == PTRACE_EVENT_SECCOMP) {
        verdict = at_call(session, pid);
        signal = 0;
    } else if (event != 0 || signal == SIGSTOP) { /* the latter is a new child's first */
        signal = 0;
    }
    if (verdict == KILL) {
        kill_all(session);
        return 1;
    }
    (void)ptrace(verdict == TO_RETURN ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, signal);
    return err != NULL && *err != NULL ? -1 : 0;
}

static int follow(struct session *session, struct error **err)
{
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR) {
            continue;
        }
        if (pid < 0) {
            return errno == ECHILD ? 0 : error_errno(err, STATUS_FAILED, errno, "waiting for the program");
        }
        if (WIFSTOPPED(status)) {
            add_pid(session, pid);
            int result = at_stop(session, pid, status, err);
            if (result != 0) {
                return result < 0 ? -1 : 0;
            }
            continue;
        }
        drop_pid(session, pid);
        if (pid == session->first) {
            session->tracer->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
}

int tracer_run(struct tracer *tracer, struct error **err)
{
    struct session session = {.tracer = tracer, .disk = {.directory = tracer->disk, .upper = tracer->upper}};
    if (tracer->disk != NULL && disk_sync_all(&session.disk, err) < 0) {
        return -1;
    }
    session.first = fork();
    if (session.first == 0) {
        become(tracer);
    }
    int status = 0;
    if (session.first < 0 || waitpid(session.first, &status, 0) != session.first || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, session.first, 0, OPTIONS) < 0 || ptrace(PTRACE_CONT, session.first, 0, 0) < 0) {
        return error_errno(err, STATUS_FAILED, errno, "cannot trace %s", tracer->argv[0]);
    }
    add_pid(&session, session.first);
    int result = follow(&session, err);
    for (size_t i = 0; i < session.n_pending; i++) {
        free(session.pending[i].path);
    }
    free(session.pending);
    free(session.pids);
    return result;
}
