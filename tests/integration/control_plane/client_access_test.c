/* The client's kubeconfig: issued, bound, published, fetched, renewed, revoked, and given to another key, with the real
 * API server, etcd and kubeadm. */
#include "tests/integration/control_plane/cluster_fixture.h"

#include "hooks/clients/kubeconfig.h"
#include "hooks/engine/run.h"
#include "hooks/steps/control_plane/client_access.h"
#include "hooks/steps/steps.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/seal.h"
#include "lib/system/tree.h"

#define TRUSTED_CA "/var/lib/k8s-hooks/cluster-ca.crt"

static struct host client = {.role = "client"};
static const struct role client_role = {.name = "client", .state = "/var/lib/k8s-hooks"};

/* A key for the client, and the facts that name it. */
static void new_ssh_key(void)
{
    (void)unlink("/root/.ssh/id_rsa");
    (void)unlink("/root/.ssh/id_rsa.pub");
    assert_int_equal(proc_exec(deadline_in(120000), NULL, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f",
                               "/root/.ssh/id_rsa", NULL),
                     0);
    free(client.pub_key);
    assert_int_equal(file_read("/root/.ssh/id_rsa.pub", 0, &client.pub_key, NULL, NULL), 0);
    client.pub_key[strcspn(client.pub_key, "\n")] = '\0';
}

/* What AppCenter registers once, when the cluster is created. */
static void register_metadata(void)
{
    _cleanup_secret_ char *kubeconfig = NULL;
    _cleanup_free_ char *sealed = NULL;
    _cleanup_free_ char *hash = NULL;
    size_t len = 0;
    assert_int_equal(file_read(CLIENT_KUBECONFIG, 0, &kubeconfig, &len, NULL), 0);
    assert_int_equal(seal(client.pub_key, kubeconfig, len, &sealed, NULL), 0);
    assert_int_equal(ca_public_key_hash(CA_CERTIFICATE, &hash, NULL), 0);
    _cleanup_json_ json_t *token = json_pack("{ss ss ss ss}", "api", MASTER_IP ":6443", "bootstrap_token",
                                             "abcdef.0123456789abcdef", "ca_hash", hash, "kubeconfig", sealed);
    self.token = json_dumps(token, 0);
}

static int set_up(void **state)
{
    if (set_up_machine(state) != 0) {
        return -1;
    }
    mount_empty("/root", NULL);
    mount_empty("/var/lib/k8s-hooks", NULL);
    assert_int_equal(dir_make("/root/.ssh", 0700, NULL), 0);
    new_cluster_data();
    facts.client = &client;
    new_ssh_key();
    apply(&step_issue_certificates);
    apply(&step_generate_encryption_key);
    apply(&step_issue_client_kubeconfig);
    register_metadata();
    start_cluster();
    wait_for_api();
    apply(&step_bind_client);
    apply(&step_publish_client_kubeconfig);
    return 0;
}

static int tear_down(void **state)
{
    end_cluster();
    return drop_data(state);
}

static struct run client_run(void)
{
    struct run run = new_run();
    run.role = &client_role;
    return run;
}

/* As the client's init. */
static int client_init(struct error **err)
{
    struct run run = client_run();
    int there = step_write_kubeconfig.done(&run, err);
    return there != 0 ? there : step_write_kubeconfig.apply(&run, err);
}

/* The HTTP status of a request that only an administrator may make. */
static long query_with(const char *path)
{
    struct kubeconfig config __attribute__((cleanup(kubeconfig_free))) = {0};
    struct kube *kube __attribute__((cleanup(kube_freep))) = NULL;
    _cleanup_json_ json_t *secrets = NULL;
    long code = 0;
    assert_int_equal(kubeconfig_read(path, &config, NULL), 0);
    assert_int_equal(kubeconfig_open(&config, &kube, NULL), 0);
    int got = kube_get(kube, "/api/v1/secrets", deadline_in(60000), &secrets, &code, NULL);
    return got == 0 ? 200 : code;
}

/* The API server sees a changed binding a moment later. */
static void assert_access(const char *path, long expected)
{
    struct deadline deadline = deadline_in(120000);
    while (query_with(path) != expected && deadline_left(deadline) > 0) {
        (void)usleep(100000);
    }
    assert_int_equal(query_with(path), expected);
}

static void keep_as(const char *path)
{
    _cleanup_secret_ char *text = NULL;
    assert_int_equal(file_read(ROOT_KUBECONFIG, 0, &text, NULL, NULL), 0);
    put(path, text);
}

static void assert_group(const char *expected)
{
    struct run run = new_run();
    _cleanup_free_ char *group = NULL;
    struct error *err = NULL;
    if (client_group(&run, &group, &err) < 0) {
        fail_msg("%s", err->message);
    }
    assert_string_equal(group, expected);
}

static void renew(void)
{
    apply(&step_renew_client_kubeconfig);
    assert_int_equal(done(&step_bind_client), 0);
    apply(&step_bind_client);
    apply(&step_publish_client_kubeconfig);
}

static void the_first_kubeconfig_is_an_administrator(void **state)
{
    (void)state;
    assert_group("k8s-hooks:cluster-admins:1");
    assert_int_equal(client_init(NULL), 0);
    assert_int_equal(client_init(NULL), 1);
    assert_access(ROOT_KUBECONFIG, 200);
    assert_int_equal(access(TRUSTED_CA, R_OK), 0);
    assert_int_equal(done(&step_bind_client), 1);
    assert_int_equal(done(&step_publish_client_kubeconfig), 1);
    keep_as("/root/first");
}

static void a_renewal_reaches_the_client_and_the_second_revokes(void **state)
{
    (void)state;
    renew();
    assert_group("k8s-hooks:cluster-admins:2");
    assert_access("/root/first", 200);
    assert_int_equal(client_init(NULL), 0);
    assert_access(ROOT_KUBECONFIG, 200);
    renew();
    assert_access("/root/first", 403);
    assert_access(ROOT_KUBECONFIG, 200);
    assert_int_equal(client_init(NULL), 0);
    assert_access(ROOT_KUBECONFIG, 200);
}

static void a_client_with_another_key_gets_access(void **state)
{
    (void)state;
    new_ssh_key();
    assert_int_equal(unlink(TRUSTED_CA), 0);
    assert_int_equal(unlink(ROOT_KUBECONFIG), 0);
    assert_int_equal(client_init(NULL), -1);
    assert_int_equal(done(&step_publish_client_kubeconfig), 0);
    assert_group("k8s-hooks:cluster-admins:3");
    apply(&step_publish_client_kubeconfig);
    assert_group("k8s-hooks:cluster-admins:4");
    assert_int_equal(done(&step_publish_client_kubeconfig), 1);
    assert_int_equal(done(&step_bind_client), 1);
    assert_int_equal(client_init(NULL), 0);
    assert_access(ROOT_KUBECONFIG, 200);
}

static void another_ca_is_refused(void **state)
{
    (void)state;
    _cleanup_free_ char *trusted = NULL;
    struct error *err = NULL;
    assert_int_equal(file_read(TRUSTED_CA, 0, &trusted, NULL, NULL), 0);
    assert_int_equal(unlink(TRUSTED_CA), 0);
    assert_int_equal(proc_exec(deadline_in(120000), NULL, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                               "-keyout", "/dev/null", "-subj", "/CN=kubernetes", "-out", TRUSTED_CA, NULL),
                     0);
    assert_int_equal(client_init(&err), -1);
    assert_int_equal(err->status, STATUS_CRYPTO);
    error_free(err);
    put(TRUSTED_CA, trusted);
    assert_int_equal(client_init(NULL), 1);
}

/* The certificate of clusters from before this; the new one is bound before the client has it. */
static void an_old_cluster_migrates(void **state)
{
    (void)state;
    put(CLIENT_KUBECONFIG, "{\"clusters\":[{\"cluster\":{\"server\":\"https://" MASTER_IP ":6443\"}}]}");
    assert_int_equal(done(&step_issue_client_kubeconfig), 0);
    apply(&step_issue_client_kubeconfig);
    assert_group("k8s-hooks:cluster-admins:1");
    apply(&step_bind_client);
    apply(&step_publish_client_kubeconfig);
    assert_int_equal(client_init(NULL), 0);
    assert_access(ROOT_KUBECONFIG, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_kubeconfig_is_an_administrator),
        cmocka_unit_test(a_renewal_reaches_the_client_and_the_second_revokes),
        cmocka_unit_test(a_client_with_another_key_gets_access),
        cmocka_unit_test(another_ca_is_refused),
        cmocka_unit_test(an_old_cluster_migrates),
    };
    return cmocka_run_group_tests_name("client access", tests, set_up, tear_down);
}
