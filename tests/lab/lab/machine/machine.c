#include "tests/lab/lab/machine/machine.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/system/file.h"
#include "tests/lab/lab/machine/cgroup.h"
#include "tests/lab/lab/machine/leftovers.h"
#include "tests/lab/lab/record/record.h"

struct boot {
    const struct lab *lab;
    const struct machine *machine;
    char *lower, *upper, *work, *root, *notify;
};

static void boot_free(struct boot *boot)
{
    free(boot->lower);
    free(boot->upper);
    free(boot->work);
    free(boot->root);
    free(boot->notify);
}

static char *disk(const struct lab *lab, const struct machine *machine, const char *part)
{
    return lab_path(lab, "machines/%s/%s", machine->name, part);
}

/* Overlay's lowerdir lists the highest layer first. */
static char *lower_dirs(const struct lab *lab)
{
    struct buffer list = {0};
    for (size_t n = strv_length(lab->layers); n > 0; n--) {
        buffer_printf(&list, "%s%s", list.len > 0 ? ":" : "", lab->layers[n - 1]);
    }
    return list.data;
}

/* In the child that becomes nspawn: the overlay is mounted in a mount namespace of its own, so it ends with the
 * machine. */
static int prepare(void *data, struct error **err)
{
    const struct boot *boot = data;
    if (cgroup_enter(boot->lab, boot->machine, err) != 0) {
        return -1;
    }
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) {
        return error_errno(err, STATUS_FAILED, errno, "making a mount namespace");
    }
    _cleanup_free_ char *options =
        xasprintf("lowerdir=%s,upperdir=%s,workdir=%s", boot->lower, boot->upper, boot->work);
    if (mount("overlay", boot->root, "overlay", 0, options) != 0) {
        return error_errno(err, STATUS_FAILED, errno, "mounting the system disk with %s", options);
    }
    (void)setenv("NOTIFY_SOCKET", boot->notify, 1);
    (void)setenv("SYSTEMD_NSPAWN_LOCK", "0", 1);
    (void)setenv("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes", 1);
    return 0;
}

static int notify_open(const char *path, struct error **err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        return error_new(err, STATUS_FAILED, "socket path %s: too long", path);
    }
    memcpy(address.sun_path, path, strlen(path));
    (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)error_errno(err, STATUS_FAILED, errno, "binding %s", path);
        (void)(fd >= 0 && close(fd));
        return -1;
    }
    return fd;
}

static int write_hosts(const struct lab *lab, const struct machine *machine, const char *upper, struct error **err)
{
    _cleanup_buffer_ struct buffer hosts = {0};
    buffer_puts(&hosts, "127.0.0.1 localhost\n::1 localhost ip6-localhost\n" LAB_GATEWAY " metadata\n");
    for (size_t i = 0; i < lab->n_machines; i++) {
        if (lab->machines[i]->instance_id != NULL) {
            buffer_printf(&hosts, "%s %s\n", lab->machines[i]->ip, lab->machines[i]->instance_id);
        }
    }
    _cleanup_free_ char *hosts_path = path_join(upper, "etc/hosts");
    _cleanup_free_ char *name_path = path_join(upper, "etc/hostname");
    _cleanup_free_ char *resolv_path = path_join(upper, "etc/resolv.conf");
    _cleanup_free_ char *address_path = path_join(upper, "etc/k8s-lab/address");
    _cleanup_free_ char *confd_path = path_join(upper, "etc/confd/confd.toml");
    if (text_put(hosts_path, 0644, err, "%s", hosts.data) != 0 ||
        text_put(name_path, 0644, err, "%s\n", machine->instance_id) != 0 ||
        text_put(resolv_path, 0644, err, "nameserver %s\n", LAB_GATEWAY) != 0 ||
        text_put(address_path, 0644, err, "%s %s %s\n", machine->ip, machine->mac, LAB_GATEWAY) != 0) {
        return -1;
    }
    return text_put(confd_path, 0644, err,
                    "backend = \"metad\"\nconfdir = \"/etc/confd\"\ninterval = 600\nwatch = true\n"
                    "nodes = [\"http://%s:80\"]\n",
                    LAB_GATEWAY);
}

static int write_keys(const struct lab *lab, const struct machine *machine, const char *upper, struct error **err)
{
    if (machine->pub_key == NULL) {
        return 0;
    }
    _cleanup_free_ char *from = disk(lab, machine, "id_rsa");
    _cleanup_free_ char *to = path_join(upper, "root/.ssh/id_rsa");
    _cleanup_free_ char *pub = path_join(upper, "root/.ssh/id_rsa.pub");
    _cleanup_free_ char *dir = path_join(upper, "root/.ssh");
    _cleanup_secret_ char *key = NULL;
    size_t len;
    if (file_read(from, 0, &key, &len, err) != 0 || dir_make(dir, 0700, err) != 0) {
        return -1;
    }
    struct file_spec spec = {.path = to, .data = key, .len = len, .mode = 0600};
    return file_put(&spec, NULL, err) == 0 && text_put(pub, 0644, err, "%s\n", machine->pub_key) == 0 ? 0 : -1;
}

/* Only a client keeps its system disk when it stops, and has no volume of its own. */
static bool is_client(const struct machine *machine)
{
    return strcmp(machine->role, "client") == 0;
}

static int disks_make(const struct lab *lab, struct machine *machine, struct boot *boot, struct error **err)
{
    *boot = (struct boot){.lab = lab,
                          .machine = machine,
                          .lower = lower_dirs(lab),
                          .upper = disk(lab, machine, "upper"),
                          .work = disk(lab, machine, "work"),
                          .root = disk(lab, machine, "root"),
                          .notify = disk(lab, machine, "notify")};
    _cleanup_free_ char *data = disk(lab, machine, "data");
    if ((!is_client(machine) && files_remove(boot->upper, err) != 0) || files_remove(boot->work, err) != 0 ||
        dir_make(boot->upper, 0755, err) != 0 || dir_make(boot->work, 0755, err) != 0 ||
        dir_make(boot->root, 0755, err) != 0 || dir_make(data, 0755, err) != 0) {
        return -1;
    }
    return 0;
}

int machine_start(const struct lab *lab, struct machine *machine, struct error **err)
{
    _cleanup_(boot_free) struct boot boot = {0};
    if (machine->instance_id == NULL) {
        machine->instance_id = random_id("i-");
    }
    if (disks_make(lab, machine, &boot, err) != 0 || write_hosts(lab, machine, boot.upper, err) != 0 ||
        write_keys(lab, machine, boot.upper, err) != 0) {
        return -1;
    }
    machine->notify = notify_open(boot.notify, err);
    if (machine->notify < 0) {
        return -1;
    }
    _cleanup_free_ char *name = xasprintf("--machine=%s-%s", lab->name, machine->name);
    _cleanup_free_ char *host = xasprintf("--hostname=%s", machine->instance_id);
    /* Docker cannot have overlays on a system disk that is one itself. */
    const char *place = is_client(machine) ? "/data/var/lib/docker" : "/data";
    _cleanup_free_ char *bind = xasprintf("--bind=%s/machines/%s/data:%s", lab->dir, machine->name, place);
    _cleanup_free_ char *log = disk(lab, machine, "console.log");
    const char *argv[] = {"systemd-nspawn",
                          "--register=no",
                          "--keep-unit",
                          "--boot",
                          "--notify-ready=yes",
                          "--link-journal=no",
                          "--resolv-conf=off",
                          "--timezone=off",
                          "--console=pipe",
                          "--network-bridge=br0",
                          "--capability=all",
                          "--system-call-filter=@keyring bpf add_key keyctl perf_event_open @module",
                          "--bind=/dev/kmsg",
                          "-D",
                          boot.root,
                          name,
                          host,
                          bind,
                          NULL};
    if (process_spawn(&machine->nspawn, argv, log, prepare, &boot, err) != 0) {
        return error_wrap(err, "machine %s", machine->name);
    }
    return 0;
}

/* One message of nspawn, lines of KEY=VALUE. True once the machine is up. */
static bool notified(struct machine *machine)
{
    char text[1024];
    ssize_t n = recv(machine->notify, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    const char *leader = strstr(text, "X_NSPAWN_LEADER_PID=");
    if (leader != NULL) {
        machine->leader = process_of((pid_t)strtol(strchr(leader, '=') + 1, NULL, 10));
    }
    return strstr(text, "READY=1") != NULL && machine->leader.pid != 0;
}

static int console_error(const struct lab *lab, const struct machine *machine, const char *what, struct error **err)
{
    return error_new(err, STATUS_FAILED, "machine %s %s; its console is in %s/machines/%s/console.log", machine->name,
                     what, lab->dir, machine->name);
}

int machine_wait(const struct lab *lab, struct machine *machine, struct deadline deadline, struct error **err)
{
    struct pollfd fds[] = {{.fd = machine->notify, .events = POLLIN}, {.fd = interrupt_fd(), .events = POLLIN}};
    for (bool up = false; !up;) {
        int64_t left = deadline_left(deadline);
        int n = poll(fds, 2, left > 1000 ? 1000 : (int)left);
        if (interrupt_check(err) != 0) {
            return -1;
        }
        if (n > 0 && (fds[0].revents & POLLIN) != 0) {
            up = notified(machine);
        } else if (!process_alive(&machine->nspawn)) {
            return console_error(lab, machine, "exited at boot", err);
        } else if (left == 0) {
            return console_error(lab, machine, "did not come up in time", err);
        }
    }
    close(machine->notify);
    machine->notify = -1;
    return 0;
}

static void gone(const struct lab *lab, struct machine *machine, struct deadline deadline)
{
    process_end(&machine->nspawn, 0, deadline);
    machine->leader = (struct process){0};
    free(STEAL(machine->instance_id));
    cgroup_remove(lab, machine);
    leftovers_remove_shared(lab, machine);
}

void machine_power_off(const struct lab *lab, struct machine *machine, struct deadline deadline)
{
    struct record *record = process_alive(&machine->leader) ? record_begin(lab, machine, "power-off") : NULL;
    if (record != NULL) {
        process_end(&machine->leader, SIGRTMIN + 4, deadline);
    }
    gone(lab, machine, deadline_in(5000));
    record_end(record, STATUS_OK, NULL);
}

void machine_cut(const struct lab *lab, struct machine *machine)
{
    struct record *record = process_alive(&machine->leader) ? record_begin(lab, machine, "power-cut") : NULL;
    if (record != NULL) {
        process_end(&machine->leader, SIGKILL, deadline_in(10000));
    }
    if (process_alive(&machine->nspawn)) {
        process_end(&machine->nspawn, SIGTERM, deadline_in(5000));
    }
    gone(lab, machine, deadline_in(5000));
    record_end(record, STATUS_OK, NULL);
}

int machine_erase(const struct lab *lab, const struct machine *machine, struct error **err)
{
    _cleanup_free_ char *path = lab_path(lab, "machines/%s", machine->name);
    return files_remove(path, err);
}

int machine_drop_system_disk(const struct lab *lab, const struct machine *machine, struct error **err)
{
    _cleanup_free_ char *path = disk(lab, machine, "upper");
    _cleanup_free_ char *docker = is_client(machine) ? disk(lab, machine, "data") : NULL;
    return files_remove(path, err) == 0 && (docker == NULL || files_remove(docker, err) == 0) ? 0 : -1;
}

int machine_run(const struct machine *machine, const char *command, struct deadline deadline,
                struct proc_result *result, struct error **err)
{
    if (!process_alive(&machine->leader)) {
        return error_new(err, STATUS_FAILED, "machine %s is off: " MACHINE_OFF, machine->name);
    }
    _cleanup_free_ char *pid = xasprintf("%d", machine->leader.pid);
    const char *argv[] = {"nsenter", "-t", pid, "-a", "--", "sh", "-c", command, NULL};
    struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline};
    struct error *why = NULL;
    if (proc_run(&proc, result, &why) == 0) {
        return 0;
    }
    /* what failed is the command, not the way in */
    static const char *const way_in[] = {"nsenter: ", "running nsenter: "};
    for (size_t i = 0; i < ELEMENTS(way_in); i++) {
        size_t len = str_starts(why->message, way_in[i]) ? strlen(way_in[i]) : 0;
        memmove(why->message, why->message + len, strlen(why->message + len) + 1);
    }
    return error_move(err, &why);
}

int machine_exec(const struct machine *machine, char *const *argv, struct error **err)
{
    if (!process_alive(&machine->leader)) {
        return error_new(err, STATUS_FAILED, "machine %s is off: " MACHINE_OFF, machine->name);
    }
    static const char *const fixed[] = {
        "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"};
    const char *terminal = getenv("TERM");
    _cleanup_free_ char *term = xasprintf("TERM=%s", terminal == NULL ? "dumb" : terminal);
    _cleanup_free_ char *pid = xasprintf("%d", machine->leader.pid);
    _cleanup_strv_ char **all = NULL;
    strv_push(&all, "nsenter");
    strv_push(&all, "-t");
    strv_push(&all, pid);
    strv_push(&all, "-a");
    strv_push(&all, "--");
    for (size_t i = 0; i < ELEMENTS(fixed); i++) {
        strv_push(&all, fixed[i]);
    }
    strv_push(&all, term);
    for (; *argv != NULL; argv++) {
        strv_push(&all, *argv);
    }
    if (strcmp(all[strv_length(all) - 1], term) == 0) {
        strv_push(&all, "bash");
        strv_push(&all, "-i");
    }
    interrupt_child();
    execvp(all[0], all);
    return error_errno(err, STATUS_COMMAND, errno, "running nsenter");
}
