/* Records the command line and environment of every process of lab machines while DIRECTORY exists, those that live for
 * a moment too: the kernel's process connector reports each exec, and all of /proc is read again four times a second.
 * A line each, "PID cmdline WORDS" and "PID environ WORDS", once for each text; FILE.stats has the figures. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/core/util.h"

#define SWEEP_MS 250
#define KNOWN (1U << 20) /* texts told apart; a full table would only write some of them again */

struct watch {
    FILE *record;
    FILE *stats; /* opened once: whoever removes DIRECTORY must not find a new file in it */
    const char *directory;
    int connector; /* -1: none here */
    char own[64];  /* this program's pid namespace: its processes are not a machine's */
    uint64_t *known;
    unsigned long execs, gone, overruns, sweeps, texts;
};

/* The first pid namespace of this tree of processes has the connector only in the first network namespace, which the
 * lab has left: an ancestor may still be in it. */
static int connector_open(void)
{
    struct {
        struct nlmsghdr header;
        struct cn_msg message;
        enum proc_cn_mcast_op operation;
    } __attribute__((packed)) listen = {
        .header = {.nlmsg_len = sizeof listen, .nlmsg_type = NLMSG_DONE},
        .message = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof listen.operation},
        .operation = PROC_CN_MCAST_LISTEN,
    };
    struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    int size = 16 << 20;
    int fd = socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&group, sizeof group) != 0 || send(fd, &listen, sizeof listen, 0) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static long parent_of(long pid)
{
    char path[64];
    char line[256];
    long parent = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/status", pid);
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (str_starts(line, "PPid:")) {
            parent = strtol(line + 5, NULL, 10);
        }
    }
    return parent;
}

static int connector_find(void)
{
    int fd = connector_open();
    for (long pid = getppid(); fd < 0 && pid > 0; pid = parent_of(pid)) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/%ld/ns/net", pid);
        _cleanup_close_ int ns = open(path, O_RDONLY | O_CLOEXEC);
        if (ns >= 0 && setns(ns, CLONE_NEWNET) == 0) {
            fd = connector_open();
        }
    }
    return fd;
}

static bool is_new(struct watch *w, const char *data, size_t len)
{
    uint64_t hash = 14695981039346656037ULL;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)data[i]) * 1099511628211ULL;
    }
    hash |= hash == 0;
    uint64_t *place = &w->known[hash % KNOWN];
    bool new = *place != hash;
    *place = hash;
    return new;
}

static size_t read_proc(long pid, const char *name, char *data, size_t size)
{
    char path[64];
    size_t len = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t n = 1; fd >= 0 && n > 0 && len<size; len += n> 0 ? (size_t)n : 0) {
        n = read(fd, data + len, size - len);
    }
    return len;
}

/* Of a program that has ended meanwhile the namespace is not known any more: it is taken for a machine's. */
static bool in_machine(const struct watch *w, long pid)
{
    char path[64];
    char ns[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%ld/ns/pid", pid);
    return readlink(path, ns, sizeof ns - 1) <= 0 || strcmp(ns, w->own) != 0;
}

static void write_text(struct watch *w, long pid, const char *name, char *data, size_t len)
{
    if (len == 0 || !is_new(w, data, len)) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\0' || data[i] == '\n') {
            data[i] = ' ';
        }
    }
    (void)fprintf(w->record, "%ld %s ", pid, name);
    (void)fwrite(data, 1, len, w->record);
    (void)fputc('\n', w->record);
    w->texts++;
}

static bool look_at(struct watch *w, long pid)
{
    static char words[1 << 20];
    static char variables[1 << 20];
    size_t n_words = read_proc(pid, "cmdline", words, sizeof words);
    size_t n_variables = read_proc(pid, "environ", variables, sizeof variables);
    if (n_words + n_variables > 0 && in_machine(w, pid)) {
        write_text(w, pid, "cmdline", words, n_words);
        write_text(w, pid, "environ", variables, n_variables);
    }
    return n_words > 0;
}

static void sweep(struct watch *w)
{
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
        if (isdigit((unsigned char)entry->d_name[0])) {
            (void)look_at(w, strtol(entry->d_name, NULL, 10));
        }
    }
    if (proc != NULL) {
        closedir(proc);
    }
    w->sweeps++;
    (void)fflush(w->record);
    rewind(w->stats);
    (void)fprintf(
        w->stats, "%s: %lu programs started, %lu ended before they were read, %lu overruns; %lu sweeps, %lu texts\n",
        w->connector < 0 ? "sweeps alone" : "process connector", w->execs, w->gone, w->overruns, w->sweeps, w->texts);
    (void)fflush(w->stats);
}

static void read_events(struct watch *w)
{
    union {
        struct nlmsghdr header;
        char bytes[4096];
    } packet;
    ssize_t n;
    while ((n = recv(w->connector, &packet, sizeof packet, 0)) > 0 || errno == ENOBUFS) {
        if (n < 0) {
            w->overruns++;
            sweep(w);
            continue;
        }
        const struct cn_msg *message = NLMSG_DATA(&packet.header);
        struct proc_event event;
        if ((size_t)n < NLMSG_HDRLEN + sizeof *message + sizeof event) {
            continue;
        }
        memcpy(&event, message->data, sizeof event);
        if (event.what == PROC_EVENT_EXEC) {
            w->execs++;
            w->gone += !look_at(w, event.event_data.exec.process_tgid);
        }
    }
}

static void run(struct watch *w)
{
    const struct sched_param priority = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0) {
        (void)setpriority(PRIO_PROCESS, 0, -20);
    }
    struct pollfd pollfd = {.fd = w->connector, .events = POLLIN};
    for (int64_t next = 0; access(w->directory, F_OK) == 0;) {
        int64_t now = clock_ms();
        if (now >= next) {
            sweep(w);
            next = clock_ms() + SWEEP_MS;
        }
        int64_t left = next - clock_ms();
        if (poll(&pollfd, w->connector < 0 ? 0 : 1, left > 0 ? (int)left : 0) > 0) {
            read_events(w);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fputs("Usage: procwatch FILE DIRECTORY\n", stderr);
        return 2;
    }
    struct watch w = {.directory = argv[2], .known = xcalloc(KNOWN, sizeof *w.known)};
    _cleanup_free_ char *stats = xasprintf("%s.stats", argv[1]);
    w.stats = fopen(stats, "we");
    w.record = fopen(argv[1], "we");
    w.connector = connector_find();
    if (w.record == NULL || w.stats == NULL || readlink("/proc/self/ns/pid", w.own, sizeof w.own - 1) <= 0) {
        perror(argv[1]);
        return 1;
    }
    if (daemon(1, 0) != 0) {
        perror("daemon");
        return 1;
    }
    run(&w);
    (void)fclose(w.record);
    (void)fclose(w.stats);
    free(w.known);
    return 0;
}
