/* A master without a machine: a mount and network namespace of its own, with an empty /data and the real kubeadm. */
#ifndef TESTS_INTEGRATION_CONTROL_PLANE_FIXTURE_H
#define TESTS_INTEGRATION_CONTROL_PLANE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hooks/clients/etcd.h"
#include "hooks/engine/role.h"
#include "hooks/steps/control_plane/kubeadm.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

#define KUBEADM "/var/cache/k8s-hooks/kubernetes-v1.20.2/kubeadm"
#define ETCD_PKI "/etc/kubernetes/pki/etcd/"
#define MASTER_IP "192.168.0.2"

static const char configuration[] = "apiVersion: kubeadm.k8s.io/v1beta2\n"
                                    "kind: InitConfiguration\n"
                                    "localAPIEndpoint: {advertiseAddress: " MASTER_IP ", bindPort: 6443}\n"
                                    "nodeRegistration: {name: master-1}\n"
                                    "---\n"
                                    "apiVersion: kubeadm.k8s.io/v1beta2\n"
                                    "kind: ClusterConfiguration\n"
                                    "kubernetesVersion: v1.20.2\n"
                                    "controlPlaneEndpoint: " MASTER_IP ":6443\n"
                                    "networking: {serviceSubnet: 10.96.0.0/16, dnsDomain: cluster.local}\n"
                                    "apiServer: {certSANs: [master.k8s, " MASTER_IP "]}\n";

static char domain[] = "master.k8s";
static char ip[] = MASTER_IP;
static char node_name[] = "master-1";
static char cluster_id[] = "cl-12345678";
static struct host self = {.role = "master", .ip = ip, .node_name = node_name};
static struct facts facts = {
    .self = &self, .master = &self, .cluster.id = cluster_id, .parameters.api_external_domain = domain};
static struct conf conf;
static const struct role role = {.name = "master", .state = "/data/kubernetes/hooks", .control_plane = true};

static inline struct run new_run(void)
{
    return (struct run){.role = &role, .root = "", .conf = &conf, .facts = &facts, .deadline = deadline_in(600000)};
}

static inline void put(const char *path, const char *text)
{
    assert_int_equal(file_put_private(path, text, NULL), 0);
}

static inline void mount_empty(const char *path, const char *options)
{
    assert_int_equal(dir_make(path, 0755, NULL), 0);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, options), 0);
}

static inline int set_up_machine(void **state)
{
    (void)state;
    assert_int_equal(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(access(KUBEADM, X_OK), 0);
    mount_empty("/usr/local/sbin", NULL);
    assert_int_equal(symlink(KUBEADM, "/usr/local/sbin/kubeadm"), 0);
    return proc_exec(deadline_in(300000), NULL, "ip", "link", "set", "lo", "up", NULL);
}

/* SIZE of /data as tmpfs takes it. */
static inline void new_data_of(const char *size)
{
    _cleanup_free_ char *options = xasprintf("size=%s", size);
    mount_empty("/data", options);
    assert_int_equal(dir_make("/data/kubernetes/hooks", 0700, NULL), 0);
    assert_int_equal(dir_make("/etc/kubernetes", 0755, NULL), 0);
    assert_int_equal(mount("/data/kubernetes", "/etc/kubernetes", NULL, MS_BIND, NULL), 0);
    put(KUBEADM_CONFIG, configuration);
}

static inline int drop_data(void **state)
{
    (void)state;
    return umount("/etc/kubernetes") < 0 || umount("/data") < 0;
}

/* ARGV[0] is a path; what it prints is dropped, and it ends with the test. */
static inline pid_t spawn(const char *const *argv)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        int log = open("/dev/null", O_WRONLY);
        (void)dup2(log, 1);
        (void)dup2(log, 2);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent) {
            execv(argv[0], (char *const *)argv);
        }
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

/* A real etcd on /data/etcd with the certificates that kubeadm makes, and with the option MORE; it ends with the test.
 */
static inline pid_t etcd_start(const char *more)
{
    const char *const argv[] = {"/usr/bin/etcd",
                                "--name=master-1",
                                "--data-dir=/data/etcd",
                                "--listen-client-urls=https://127.0.0.1:2379",
                                "--advertise-client-urls=https://127.0.0.1:2379",
                                "--listen-metrics-urls=" ETCD_METRICS,
                                "--cert-file=" ETCD_PKI "server.crt",
                                "--key-file=" ETCD_PKI "server.key",
                                "--client-cert-auth",
                                "--trusted-ca-file=" ETCD_PKI "ca.crt",
                                "--listen-peer-urls=http://127.0.0.1:2380",
                                "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                                "--initial-cluster=master-1=http://127.0.0.1:2380",
                                more,
                                NULL};
    pid_t pid = spawn(argv);
    struct deadline deadline = deadline_in(300000);
    while (etcd_health(ETCD_METRICS, deadline_earlier(deadline, deadline_in(30000)), NULL) < 0) {
        assert_true(deadline_left(deadline) > 0);
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        (void)usleep(20000);
    }
    return pid;
}

static inline void etcd_end(pid_t pid, int signal)
{
    assert_int_equal(kill(pid, signal), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#endif
