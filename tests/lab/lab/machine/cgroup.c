#include "tests/lab/lab/machine/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/system/file.h"

#define ROOT "/sys/fs/cgroup"

static bool unified(void)
{
    return access(ROOT "/cgroup.controllers", F_OK) == 0;
}

/* The hierarchies: ROOT itself, or each mounted directory below it; links ("cpu,cpuacct") are skipped. */
static char **hierarchies(void)
{
    char **list = xcalloc(1, sizeof *list);
    if (unified()) {
        strv_push(&list, ROOT);
        return list;
    }
    DIR *dir = opendir(ROOT);
    for (struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            _cleanup_free_ char *path = xasprintf(ROOT "/%s", e->d_name);
            strv_push(&list, path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return list;
}

static int write_text(const char *path, const char *text, struct error **err)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        return error_errno(err, STATUS_FILE, errno, "writing '%s' to %s", text, path);
    }
    return 0;
}

/* A new cpuset group takes no process before it has processors and memory nodes. */
static int cpuset_copy(const char *hierarchy, const char *group, struct error **err)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < ELEMENTS(files); i++) {
        _cleanup_free_ char *from = xasprintf("%s/%s", hierarchy, files[i]);
        _cleanup_free_ char *to = xasprintf("%s/%s", group, files[i]);
        _cleanup_close_ int fd = open(from, O_RDONLY | O_CLOEXEC);
        char text[256] = "";
        if (fd < 0 || read(fd, text, sizeof text - 1) <= 0) {
            return error_errno(err, STATUS_FILE, errno, "reading %s", from);
        }
        if (write_text(to, text, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* A group of version 2 has those controllers alone that its parent passes on: systemd does so for what its units use,
 * and nothing does where the root has no systemd. Docker and the kubelet need these (host.c). */
static int pass_on(const char *hierarchy, struct error **err)
{
    static const char *const controllers[] = {"cpu", "cpuset", "memory", "pids"};
    _cleanup_free_ char *path = xasprintf("%s/cgroup.subtree_control", hierarchy);
    _cleanup_free_ char *text = NULL;
    if (file_read(path, 0, &text, NULL, err) != 0) {
        return -1;
    }
    _cleanup_strv_ char **there = strv_split(text);
    for (size_t i = 0; i < ELEMENTS(controllers); i++) {
        _cleanup_free_ char *change = xasprintf("+%s", controllers[i]);
        if (!strv_contains(there, controllers[i]) && write_text(path, change, err) != 0) {
            return error_wrap(err, "machines would lack the controller %s", controllers[i]);
        }
    }
    return 0;
}

int cgroup_enter(const struct lab *lab, const struct machine *machine, struct error **err)
{
    _cleanup_strv_ char **list = hierarchies();
    for (char **h = list; *h != NULL; h++) {
        _cleanup_free_ char *group = xasprintf("%s/k8s-lab-%s-%s", *h, lab->name, machine->name);
        if (unified() && pass_on(*h, err) != 0) {
            return -1;
        }
        if (mkdir(group, 0755) != 0 && errno != EEXIST) {
            return error_errno(err, STATUS_FILE, errno, "making the control group %s", group);
        }
        if (str_ends(*h, "/cpuset") && cpuset_copy(*h, group, err) != 0) {
            return -1;
        }
        _cleanup_free_ char *procs = xasprintf("%s/cgroup.procs", group);
        if (write_text(procs, "0", err) != 0) {
            return -1;
        }
    }
    return 0;
}

unsigned long long cgroup_memory(const struct lab *lab, const struct machine *machine)
{
    bool v2 = unified();
    _cleanup_free_ char *path =
        xasprintf(ROOT "%s/k8s-lab-%s-%s/memory.stat", v2 ? "" : "/memory", lab->name, machine->name);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    unsigned long long bytes = 0;
    char line[256];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, v2 ? "anon %llu" : "total_rss %llu", &bytes) == 1) {
            return bytes;
        }
    }
    return 0;
}

static int remove_group(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (type == FTW_DP) {
        (void)rmdir(path);
    }
    return 0;
}

void cgroup_remove(const struct lab *lab, const struct machine *machine)
{
    _cleanup_strv_ char **list = hierarchies();
    for (char **h = list; *h != NULL; h++) {
        _cleanup_free_ char *group = xasprintf("%s/k8s-lab-%s-%s", *h, lab->name, machine->name);
        (void)nftw(group, remove_group, 64, FTW_DEPTH | FTW_PHYS);
    }
}

static int kill_group(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (type != FTW_D) {
        return 0;
    }
    _cleanup_free_ char *procs = xasprintf("%s/cgroup.procs", path);
    _cleanup_fclose_ FILE *f = fopen(procs, "re");
    char line[32];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        struct process process = process_of((pid_t)strtol(line, NULL, 10));
        process_end(&process, SIGKILL, deadline_in(5000));
    }
    return 0;
}

void cgroups_end(const struct lab *lab)
{
    _cleanup_free_ char *prefix = xasprintf("k8s-lab-%s-", lab->name);
    _cleanup_strv_ char **list = hierarchies();
    for (char **h = list; *h != NULL; h++) {
        DIR *dir = opendir(*h);
        for (struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
            _cleanup_free_ char *group = xasprintf("%s/%s", *h, e->d_name);
            if (str_starts(e->d_name, prefix) && lab_is_machine_name(lab, e->d_name + strlen(prefix))) {
                (void)nftw(group, kill_group, 64, FTW_PHYS);
                (void)nftw(group, remove_group, 64, FTW_DEPTH | FTW_PHYS);
            }
        }
        if (dir != NULL) {
            closedir(dir);
        }
    }
}
