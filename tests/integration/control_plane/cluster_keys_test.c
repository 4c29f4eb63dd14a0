/* The step that issues the cluster's certificates, with the real kubeadm, in a mount namespace whose /data and
 * /etc/kubernetes are empty: what is lost on /data never costs a cluster its CAs. */
#include "tests/integration/control_plane/fixture.h"

#include <glob.h>
#include <sys/stat.h>

#include "hooks/steps/steps.h"
#include "lib/crypto/crypto.h"
#include "lib/system/tree.h"

#define ETCD_DATA "/data/etcd/member"

/* As the runner does it. */
static int issue(struct error **err)
{
    struct run run = new_run();
    int done = step_issue_certificates.done(&run, err);
    return done != 0 ? done : step_issue_certificates.apply(&run, err);
}

static char *digest(void)
{
    _cleanup_proc_ struct proc_result result = {0};
    static const char *const argv[] = {
        "sh", "-c",
        "cd /data/kubernetes && find . -path ./hooks -prune -o -type f -print0 | sort -z | xargs -0 sha256sum", NULL};
    const struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(120000)};
    assert_int_equal(proc_run(&proc, &result, NULL), 0);
    return xstrdup(result.output);
}

static char *ca_hash(void)
{
    char *hash = NULL;
    assert_int_equal(ca_public_key_hash(CA_CERTIFICATE, &hash, NULL), 0);
    return hash;
}

static char *find_aside(void)
{
    glob_t found = {0};
    char *path = glob("/data/kubernetes/pki.incomplete-*", 0, NULL, &found) == 0 ? xstrdup(found.gl_pathv[0]) : NULL;
    assert_true(found.gl_pathc <= 1);
    globfree(&found);
    return path;
}

static int new_data(void **state)
{
    (void)state;
    new_data_of("64m");
    return 0;
}

static void a_new_cluster_gets_keys_once(void **state)
{
    (void)state;
    assert_int_equal(issue(NULL), 0);
    _cleanup_free_ char *before = digest();
    assert_int_equal(issue(NULL), 1);
    _cleanup_free_ char *after = digest();
    assert_string_equal(before, after);
}

static void a_lost_stamp_keeps_every_key(void **state)
{
    (void)state;
    assert_int_equal(issue(NULL), 0);
    assert_int_equal(dir_make(ETCD_DATA, 0700, NULL), 0);
    _cleanup_free_ char *before = digest();
    assert_int_equal(unlink("/data/kubernetes/hooks/stamps/certificates"), 0);
    assert_int_equal(issue(NULL), 0);
    _cleanup_free_ char *after = digest();
    assert_string_equal(before, after);
    assert_int_equal(issue(NULL), 1);
}

static void a_lost_state_directory_keeps_every_key(void **state)
{
    (void)state;
    assert_int_equal(issue(NULL), 0);
    assert_int_equal(dir_make(ETCD_DATA, 0700, NULL), 0);
    _cleanup_free_ char *before = digest();
    assert_int_equal(tree_empty("/data/kubernetes/hooks", NULL), 0);
    assert_int_equal(issue(NULL), 0);
    _cleanup_free_ char *after = digest();
    assert_string_equal(before, after);
}

/* What an event left that was killed while it put kubeconfigs in their places. */
static void put_unplaced_kubeconfig(void)
{
    put("/data/kubernetes/kubeconfigs.new/admin.conf", "keys of an administrator");
}

static void kubeconfigs_that_a_killed_event_left_are_removed(void **state)
{
    (void)state;
    assert_int_equal(issue(NULL), 0);
    _cleanup_free_ char *before = digest();
    put_unplaced_kubeconfig();
    assert_int_equal(unlink("/data/kubernetes/hooks/stamps/certificates"), 0);
    assert_int_equal(issue(NULL), 0);
    assert_int_equal(access("/data/kubernetes/kubeconfigs.new", F_OK), -1);
    struct run run = new_run();
    assert_int_equal(step_keep_certificates_valid.done(&run, NULL), 1);
    put_unplaced_kubeconfig();
    assert_int_equal(step_keep_certificates_valid.done(&run, NULL), 0);
    assert_int_equal(step_keep_certificates_valid.apply(&run, NULL), 0);
    assert_int_equal(access("/data/kubernetes/kubeconfigs.new", F_OK), -1);
    _cleanup_free_ char *after = digest();
    assert_string_equal(before, after);
}

static const char *const ca_files[] = {
    "ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.pub", "sa.key", "etcd/ca.crt", "etcd/ca.key",
};

/* The step refuses, names the file, and leaves everything as it is. */
static void assert_refused(const char *file, const char *evidence)
{
    struct error *err = NULL;
    _cleanup_free_ char *before = digest();
    assert_int_equal(issue(&err), -1);
    assert_non_null(strstr(err->message, file));
    assert_non_null(strstr(err->message, evidence));
    assert_non_null(strstr(err->message, "k8s-master restore"));
    error_free(err);
    _cleanup_free_ char *after = digest();
    assert_string_equal(before, after);
}

static void a_lost_ca_of_a_used_cluster_is_refused(void **state)
{
    (void)state;
    assert_int_equal(issue(NULL), 0);
    assert_int_equal(dir_make(ETCD_DATA, 0700, NULL), 0);
    for (size_t stamp = 0; stamp < 2; stamp++) {
        for (size_t i = 0; i < ELEMENTS(ca_files); i++) {
            _cleanup_free_ char *path = xasprintf("/data/kubernetes/pki/%s", ca_files[i]);
            _cleanup_secret_ char *text = NULL;
            assert_int_equal(file_read(path, 0, &text, NULL, NULL), 0);
            assert_int_equal(unlink(path), 0);
            assert_refused(path, ETCD_DATA);
            put(path, "");
            assert_refused(path, ETCD_DATA);
            put(path, text);
        }
        (void)unlink("/data/kubernetes/hooks/stamps/certificates");
    }
}

/* kubeadm would make the missing key, and no pod's token would be accepted any more. */
static void renewal_does_not_create_a_missing_ca(void **state)
{
    (void)state;
    assert_int_equal(issue(NULL), 0);
    assert_int_equal(unlink("/data/kubernetes/pki/sa.key"), 0);
    static const struct step *const steps[] = {&step_keep_certificates_valid, &step_renew_certificates};
    for (size_t i = 0; i < ELEMENTS(steps); i++) {
        struct run run = new_run();
        struct error *err = NULL;
        _cleanup_free_ char *before = digest();
        assert_int_equal(steps[i]->apply(&run, &err), -1);
        assert_non_null(strstr(err->message, "sa.key"));
        error_free(err);
        _cleanup_free_ char *after = digest();
        assert_string_equal(before, after);
    }
}

static void each_evidence_of_a_cluster_protects_its_keys(void **state)
{
    (void)state;
    static const char *const evidence[] = {
        "/data/var/lib/kubelet/pki/kubelet-client-current.pem",
        "/data/kubernetes/admin.conf",
        "/data/kubernetes/kubelet.conf",
        "/data/kubernetes/client.conf",
    };
    put("/data/kubernetes/pki/ca.crt", "half a certificate");
    for (size_t i = 0; i < ELEMENTS(evidence); i++) {
        put(evidence[i], "in use");
        const char *name = strrchr(evidence[i], '/');
        assert_refused("/data/kubernetes/pki/ca.crt", i == 0 ? "/data/var/lib/kubelet/pki/" : name);
        assert_int_equal(unlink(evidence[i]), 0);
    }
    self.token = "{\"api\":\"192.168.0.2:6443\",\"bootstrap_token\":\"abcdef.0123456789abcdef\",\"ca_hash\":"
                 "\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}";
    assert_refused("/data/kubernetes/pki/ca.crt", "metadata");
    self.token = NULL;
}

static void half_a_set_that_nothing_uses_is_moved_aside(void **state)
{
    (void)state;
    put("/data/kubernetes/pki/ca.crt", "half a certificate");
    put("/data/kubernetes/pki/ca.key", "half a key");
    assert_int_equal(issue(NULL), 0);
    _cleanup_free_ char *aside = find_aside();
    assert_non_null(aside);
    struct stat st;
    assert_int_equal(stat(aside, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    _cleanup_free_ char *path = path_join(aside, "ca.key");
    _cleanup_free_ char *text = NULL;
    assert_int_equal(file_read(path, 0, &text, NULL, NULL), 0);
    assert_string_equal(text, "half a key");
    _cleanup_free_ char *hash = ca_hash();
    assert_int_equal(issue(NULL), 1);
}

/* What a power cut during a join leaves empty. The kubelet would never start with an empty CA, and kubeadm leaves one
 * that is there. There is no cluster to join here: kubeadm fails, and what it would have kept is gone. */
static void a_node_with_an_empty_ca_joins_again(void **state)
{
    (void)state;
    _cleanup_secret_ char *certificate = NULL;
    assert_int_equal(issue(NULL), 0);
    assert_int_equal(file_read("/data/kubernetes/pki/apiserver-kubelet-client.crt", 0, &certificate, NULL, NULL), 0);
    mount_empty("/var/lib", NULL);
    put(KUBELET_CLIENT_CERTIFICATE, certificate);
    struct run run = new_run();
    assert_int_equal(step_join_cluster.done(&run, NULL), 1);
    put(CA_CERTIFICATE, "");
    assert_int_equal(step_join_cluster.done(&run, NULL), 0);
    assert_int_equal(step_join_cluster.apply(&run, NULL), -1);
    assert_int_equal(access(CA_CERTIFICATE, F_OK), -1);
    assert_int_equal(umount("/var/lib"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_cluster_gets_keys_once, new_data, drop_data),
        cmocka_unit_test_setup_teardown(a_lost_stamp_keeps_every_key, new_data, drop_data),
        cmocka_unit_test_setup_teardown(a_lost_state_directory_keeps_every_key, new_data, drop_data),
        cmocka_unit_test_setup_teardown(kubeconfigs_that_a_killed_event_left_are_removed, new_data, drop_data),
        cmocka_unit_test_setup_teardown(a_lost_ca_of_a_used_cluster_is_refused, new_data, drop_data),
        cmocka_unit_test_setup_teardown(renewal_does_not_create_a_missing_ca, new_data, drop_data),
        cmocka_unit_test_setup_teardown(each_evidence_of_a_cluster_protects_its_keys, new_data, drop_data),
        cmocka_unit_test_setup_teardown(half_a_set_that_nothing_uses_is_moved_aside, new_data, drop_data),
        cmocka_unit_test_setup_teardown(a_node_with_an_empty_ca_joins_again, new_data, drop_data),
    };
    return cmocka_run_group_tests_name("cluster_keys", tests, set_up_machine, NULL);
}
