#include "tests/lab/lab/machine/host.h"

#include <string.h>
#include <unistd.h>

#include <linux/capability.h>
#include <sys/mount.h>

#include "lib/core/util.h"
#include "lib/system/file.h"

static const struct {
    int number;
    const char *name, *what;
} capabilities[] = {
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "namespaces and mounts"},
    {CAP_NET_ADMIN, "CAP_NET_ADMIN", "the lab's network"},
    {CAP_SYS_CHROOT, "CAP_SYS_CHROOT", "machines"},
    {CAP_MKNOD, "CAP_MKNOD", "machines' devices"},
    {CAP_SETUID, "CAP_SETUID", "machines' users"},
    {CAP_SETGID, "CAP_SETGID", "machines' users"},
    {CAP_CHOWN, "CAP_CHOWN", "the image's files"},
    {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "the image's files"},
    {CAP_FOWNER, "CAP_FOWNER", "the image's files"},
    {CAP_KILL, "CAP_KILL", "ending machines"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "entering machines"},
};

static const struct {
    const char *name, *package;
} programs[] = {
    {"systemd-nspawn", "systemd-container"},
    {"nsenter", "util-linux"},
    {"ip", "iproute2"},
    {"iptables", "iptables"},
    {"mmdebstrap", "mmdebstrap"},
    {"ssh-keygen", "openssh-client"},
};

/* What the kubelet and Docker need. */
static const char *const controllers[] = {"cpu", "cpuset", "memory", "pids"};

static void missing(struct buffer *list, const char *format, const char *a, const char *b)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* literals of this file */
    _cleanup_free_ char *line = NULL;
    if (asprintf(&line, format, a, b) < 0) {
        abort();
    }
#pragma GCC diagnostic pop
    buffer_printf(list, "\n  %s", line);
}

static char *text_of(const char *root, const char *path)
{
    _cleanup_free_ char *full = xasprintf("%s%s", root, path);
    char *text = NULL;
    size_t len = 0;
    return file_read(full, 0, &text, &len, NULL) == 0 ? text : xstrdup("");
}

static void check_capabilities(const char *root, struct buffer *list)
{
    _cleanup_free_ char *status = text_of(root, "/proc/self/status");
    const char *line = strstr(status, "CapEff:");
    unsigned long long effective = line == NULL ? 0 : strtoull(line + strlen("CapEff:"), NULL, 16);
    for (size_t i = 0; i < ELEMENTS(capabilities); i++) {
        if ((effective >> capabilities[i].number & 1) == 0) {
            missing(list, "%s, for %s: run it where root has that", capabilities[i].name, capabilities[i].what);
        }
    }
}

static void check_kernel(const char *root, struct buffer *list)
{
    _cleanup_free_ char *filesystems = text_of(root, "/proc/filesystems");
    if (strstr(filesystems, "\toverlay\n") == NULL) {
        missing(list, "the file system overlay%s%s: modprobe overlay", "", "");
    }
}

/* Version 2 where the root has a list of controllers; else a hierarchy each (version 1, hybrid). */
static void check_cgroups(const char *root, struct buffer *list)
{
    _cleanup_free_ char *unified = text_of(root, "/sys/fs/cgroup/cgroup.controllers");
    _cleanup_strv_ char **there = strv_split(unified);
    for (size_t i = 0; i < ELEMENTS(controllers); i++) {
        _cleanup_free_ char *tasks = xasprintf("%s/sys/fs/cgroup/%s/cgroup.procs", root, controllers[i]);
        bool found = *there != NULL ? strv_contains(there, controllers[i]) : access(tasks, F_OK) == 0;
        if (!found) {
            missing(list,
                    *there != NULL
                        ? "the control group controller %s%s: /sys/fs/cgroup/cgroup.controllers lacks it"
                        : "the control group controller %s%s: neither version 1 nor 2 has it in /sys/fs/cgroup",
                    controllers[i], "");
        }
    }
}

static bool in_path(const char *path, const char *program)
{
    _cleanup_free_ char *list = xstrdup(path);
    char *place = NULL;
    for (char *dir = strtok_r(list, ":", &place); dir != NULL; dir = strtok_r(NULL, ":", &place)) {
        _cleanup_free_ char *full = xasprintf("%s/%s", dir, program);
        if (access(full, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

int host_check(const char *root, const char *path, struct error **err)
{
    _cleanup_buffer_ struct buffer list = {0};
    check_capabilities(root, &list);
    check_kernel(root, &list);
    check_cgroups(root, &list);
    for (size_t i = 0; i < ELEMENTS(programs); i++) {
        if (!in_path(path, programs[i].name)) {
            missing(&list, "the program %s: apt-get install %s", programs[i].name, programs[i].package);
        }
    }
    return list.len == 0 ? 0 : error_new(err, STATUS_USAGE, "a lab cannot run here; missing:%s", list.data);
}

int host_check_own(struct error **err)
{
    /* as mount(8) would: the kernel loads the module, and lists the file system from then on */
    _cleanup_close_ int overlay = fsopen("overlay", FSOPEN_CLOEXEC);
    return host_check("", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", err);
}
