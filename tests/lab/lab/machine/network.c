#include "tests/lab/lab/machine/network.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "lib/system/proc.h"

static char *path(const struct lab *lab)
{
    return xasprintf("/run/netns/k8s-lab-%s", lab->name);
}

int network_up(const struct lab *lab, struct error **err)
{
    if (network_is_up(lab)) {
        return 0;
    }
    _cleanup_free_ char *name = xasprintf("k8s-lab-%s", lab->name);
    struct deadline deadline = deadline_in(120000);
    /* Its own address: one borrowed from a machine's end changes when that goes, and the others miss it for a minute.
     */
    if (proc_exec(deadline, err, "ip", "netns", "add", name, NULL) != 0 ||
        proc_exec(deadline, err, "ip", "-n", name, "link", "set", "lo", "up", NULL) != 0 ||
        proc_exec(deadline, err, "ip", "-n", name, "link", "add", "br0", "address", LAB_GATEWAY_MAC, "type", "bridge",
                  NULL) != 0 ||
        proc_exec(deadline, err, "ip", "-n", name, "addr", "add", LAB_GATEWAY "/24", "dev", "br0", NULL) != 0 ||
        proc_exec(deadline, err, "ip", "-n", name, "link", "set", "br0", "up", NULL) != 0) {
        return error_wrap(err, "making the network namespace %s", name);
    }
    /* Packets for elsewhere must be refused at once, not dropped: a resolver would wait for its name server. */
    return proc_exec(deadline, err, "ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1", NULL);
}

bool network_is_up(const struct lab *lab)
{
    _cleanup_free_ char *file = path(lab);
    return access(file, F_OK) == 0;
}

static int home = -1;

void network_leave(void)
{
    if (home >= 0) {
        (void)setns(home, CLONE_NEWNET);
    }
}

char *network_outside(void)
{
    return home < 0 ? NULL : xasprintf("/proc/%d/fd/%d", getpid(), home);
}

int network_enter(const struct lab *lab, struct error **err)
{
    _cleanup_free_ char *file = path(lab);
    if (home < 0) {
        home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    }
    _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
        return error_errno(err, STATUS_FAILED, errno, "entering the network namespace %s", file);
    }
    return 0;
}

void network_down(const struct lab *lab)
{
    _cleanup_free_ char *file = path(lab);
    (void)umount2(file, MNT_DETACH);
    (void)unlink(file);
}
