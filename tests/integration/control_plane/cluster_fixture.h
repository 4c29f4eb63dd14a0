/* The master of fixture.h with the real API server and etcd, on the keys that `issue certificates` makes. */
#ifndef TESTS_INTEGRATION_CONTROL_PLANE_CLUSTER_FIXTURE_H
#define TESTS_INTEGRATION_CONTROL_PLANE_CLUSTER_FIXTURE_H

#include "tests/integration/control_plane/fixture.h"

#include "hooks/engine/run.h"
#include "lib/core/json.h"

#define KUBE_APISERVER "/var/cache/k8s-hooks/kubernetes-v1.20.2/kube-apiserver"
#define PKI "/etc/kubernetes/pki/"

static pid_t etcd, api;

/* An address for the API server, and an empty /data. */
static inline void new_cluster_data(void)
{
    assert_int_equal(proc_exec(deadline_in(300000), NULL, "ip", "address", "add", MASTER_IP "/32", "dev", "lo", NULL),
                     0);
    new_data_of("512m");
    assert_int_equal(dir_make("/data/etcd", 0700, NULL), 0);
}

static inline void start_api(void)
{
    static const char *const argv[] = {
        KUBE_APISERVER, "--advertise-address=" MASTER_IP, "--etcd-servers=https://127.0.0.1:2379",
        "--etcd-cafile=" PKI "etcd/ca.crt", "--etcd-certfile=" PKI "apiserver-etcd-client.crt",
        "--etcd-keyfile=" PKI "apiserver-etcd-client.key", "--client-ca-file=" PKI "ca.crt",
        "--tls-cert-file=" PKI "apiserver.crt", "--tls-private-key-file=" PKI "apiserver.key",
        "--service-account-key-file=" PKI "sa.pub", "--service-account-signing-key-file=" PKI "sa.key",
        "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        /* would wait for the controller manager to make tokens */
        "--disable-admission-plugins=ServiceAccount", "--encryption-provider-config=" PKI "encryption.yaml", NULL};
    api = spawn(argv);
}

static inline void start_cluster(void)
{
    static const char *const etcd_argv[] = {"/usr/bin/etcd",
                                            "--data-dir=/data/etcd",
                                            "--listen-client-urls=https://127.0.0.1:2379",
                                            "--advertise-client-urls=https://127.0.0.1:2379",
                                            "--cert-file=" PKI "etcd/server.crt",
                                            "--key-file=" PKI "etcd/server.key",
                                            "--client-cert-auth",
                                            "--trusted-ca-file=" PKI "etcd/ca.crt",
                                            NULL};
    etcd = spawn(etcd_argv);
    start_api();
}

/* An API server whose bootstrap takes longer than 30 s, as on a loaded machine, ends; the kubelet would start it again.
 */
static inline void wait_for_api(void)
{
    struct run run = new_run();
    struct deadline deadline = deadline_in(600000);
    int starts = 1;
    _cleanup_json_ json_t *namespace = NULL;
    assert_int_equal(run_kube(&run, NULL), 0);
    /* made by the API server when its bootstrap is done */
    while (kube_get(run.kube, "/api/v1/namespaces/kube-public", deadline_earlier(deadline, deadline_in(30000)),
                    &namespace, NULL, NULL) < 0) {
        assert_true(deadline_left(deadline) > 0);
        assert_int_equal(waitpid(etcd, NULL, WNOHANG), 0);
        if (waitpid(api, NULL, WNOHANG) != 0) {
            assert_true(starts++ < 3);
            start_api();
        }
        (void)usleep(100000);
    }
    kube_free(run.kube);
}

static inline void apply(const struct step *step)
{
    struct run run = new_run();
    struct error *err = NULL;
    if (step->apply(&run, &err) < 0) {
        fail_msg("%s: %s", step->name, err->message);
    }
    kube_free(run.kube);
}

static inline int done(const struct step *step)
{
    struct run run = new_run();
    int result = step->done(&run, NULL);
    kube_free(run.kube);
    return result;
}

static inline void end_cluster(void)
{
    (void)kill(api, SIGKILL);
    (void)kill(etcd, SIGKILL);
    (void)waitpid(api, NULL, 0);
    (void)waitpid(etcd, NULL, 0);
}

#endif
