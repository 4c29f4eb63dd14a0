/* What a restored backup of another cluster names, with the real API server, etcd and kubeadm. */
#include "tests/integration/control_plane/cluster_fixture.h"

#include "app/paths.h"
#include "hooks/steps/steps.h"
#include "lib/crypto/crypto.h"
#include "tests/integration/api_objects.h"

#define ATTACHMENTS "/apis/storage.k8s.io/v1/volumeattachments"
#define PODS "/api/v1/namespaces/restored/pods"
#define TOKEN "/api/v1/namespaces/restored/secrets/default-token"

static char instance[] = "i-new00001", node_id[] = "cln-new00001";
static struct run run;

static void post(const char *collection, const char *text)
{
    object_post(run.kube, collection, text);
}

/* NULL where there is none. */
static json_t *get(const char *path)
{
    return object_get(run.kube, path);
}

static bool is_there(const char *path)
{
    _cleanup_json_ json_t *object = get(path);
    return object != NULL;
}

static void make_attachment(const char *name, const char *node)
{
    _cleanup_free_ char *text =
        xasprintf("{\"metadata\": {\"name\": \"%s\", \"finalizers\": [\"external-attacher/csi-qingcloud\"]}, \"spec\": "
                  "{\"attacher\": \"csi.qingcloud.com\", \"nodeName\": \"%s\", \"source\": "
                  "{\"persistentVolumeName\": \"pv-%s\"}}}",
                  name, node, name);
    post(ATTACHMENTS, text);
}

static void make_pod(const char *name, const char *owner)
{
    _cleanup_free_ char *owners =
        owner == NULL ? xstrdup("[]")
                      : xasprintf("[{\"apiVersion\": \"v1\", \"kind\": \"%s\", \"name\": \"owner\", \"uid\": "
                                  "\"11111111-1111-1111-1111-111111111111\", \"controller\": true}]",
                                  owner);
    _cleanup_free_ char *text = xasprintf("{\"metadata\": {\"name\": \"%s\", \"ownerReferences\": %s}, \"spec\": "
                                          "{\"containers\": [{\"name\": \"c\", \"image\": \"pause\"}]}}",
                                          name, owners);
    post(PODS, text);
}

/* The token of a service account, which trusts CA: the controller manager would write it. */
static void make_token(const char *ca)
{
    _cleanup_free_ char *encoded = base64_encode(ca, strlen(ca));
    _cleanup_free_ char *text = xasprintf("{\"metadata\": {\"name\": \"default-token\", \"annotations\": "
                                          "{\"kubernetes.io/service-account.name\": \"default\"}}, \"type\": "
                                          "\"kubernetes.io/service-account-token\", \"data\": {\"ca.crt\": \"%s\"}}",
                                          encoded);
    post("/api/v1/namespaces/restored/secrets", text);
}

static void write_manifest(const char *cluster)
{
    _cleanup_free_ char *text = xasprintf("{\"cluster\": \"%s\", \"created\": 1}", cluster);
    put(BACKUP_DIRECTORY "/one/manifest.json", text);
}

/* kubeadm looks for a default route. */
static void add_default_route(void)
{
    static const char *const commands[][8] = {{"link", "add", "eth0", "type", "veth", "peer", "name", "other"},
                                              {"link", "set", "eth0", "up"},
                                              {"address", "add", "192.168.0.250/24", "dev", "eth0"},
                                              {"route", "add", "default", "via", "192.168.0.1", "dev", "eth0"}};
    for (size_t i = 0; i < ELEMENTS(commands); i++) {
        const char *argv[10] = {"ip"};
        for (size_t j = 0; j < ELEMENTS(commands[i]); j++) {
            argv[j + 1] = commands[i][j];
        }
        const struct proc proc = {.argv = argv, .deadline = deadline_in(60000)};
        assert_int_equal(proc_run(&proc, NULL, NULL), 0);
    }
}

static int set_up(void **state)
{
    if (set_up_machine(state) != 0) {
        return -1;
    }
    new_cluster_data();
    add_default_route();
    self.instance_id = instance;
    self.node_id = node_id;
    facts.hosts = &self;
    facts.n_hosts = 1;
    facts.versions = json_pack("{ss ss}", "kubeadm_api", "v1beta2", "kubernetes", "v1.20.2");
    conf.timeouts.api_s = 120;
    apply(&step_issue_certificates);
    apply(&step_generate_encryption_key);
    apply(&step_generate_token);
    start_cluster();
    wait_for_api();
    run = new_run();
    run.deadline = deadline_in(1500000);
    assert_int_equal(dir_make(BACKUP_DIRECTORY "/one", 0700, NULL), 0);
    assert_int_equal(run_kube(&run, NULL), 0);
    post("/api/v1/namespaces", "{\"metadata\": {\"name\": \"restored\"}}");
    return 0;
}

static int tear_down(void **state)
{
    kube_free(run.kube);
    json_decref((json_t *)facts.versions);
    end_cluster();
    return drop_data(state);
}

static void a_backup_of_this_cluster_needs_nothing(void **state)
{
    (void)state;
    struct error *err = NULL;
    write_manifest(cluster_id);
    assert_int_equal(step_adopt_backup.done(&run, &err), 1);
    write_manifest("cl-another1");
    assert_int_equal(step_adopt_backup.done(&run, &err), 0);
    assert_int_equal(unlink(BACKUP_DIRECTORY "/one/manifest.json"), 0);
    assert_int_equal(step_adopt_backup.done(&run, &err), -1);
    assert_int_equal(err->status, STATUS_BACKUP);
    error_free(err);
}

static void pods_stay_while_their_tokens_name_the_old_ca(void **state)
{
    (void)state;
    struct error *err = NULL;
    make_pod("of-replica-set", "ReplicaSet");
    make_token("the CA of another cluster");
    conf.timeouts.api_s = 1;
    assert_int_equal(step_adopt_backup.apply(&run, &err), -1);
    conf.timeouts.api_s = 120;
    assert_non_null(strstr(err->message, "still name the old cluster's CA"));
    error_free(err);
    assert_true(is_there(PODS "/of-replica-set"));
    long code = 0;
    assert_int_equal(kube_delete(run.kube, TOKEN, deadline_in(120000), &code, NULL), 0);
}

static void make_restored_objects(void)
{
    _cleanup_free_ char *ca = NULL;
    assert_int_equal(file_read(CA_CERTIFICATE, 0, &ca, NULL, NULL), 0);
    make_token(ca);
    post("/api/v1/nodes", "{\"metadata\": {\"name\": \"node-9\"}}");
    post("/api/v1/nodes", "{\"metadata\": {\"name\": \"master-1\", \"labels\": {\"node_id\": \"cln-old\"}}, \"spec\": "
                          "{\"providerID\": \"qingcloud://i-old00001\"}}");
    post("/apis/storage.k8s.io/v1/csinodes",
         "{\"metadata\": {\"name\": \"master-1\"}, \"spec\": {\"drivers\": ["
         "{\"name\": \"csi.qingcloud.com\", \"nodeID\": \"i-old00001\", \"topologyKeys\": []}, "
         "{\"name\": \"nfs.example.com\", \"nodeID\": \"master-1\", \"topologyKeys\": []}]}}");
    make_attachment("of-stale-node", "node-9");
    make_attachment("of-replaced-machine", "master-1");
    make_attachment("of-nobody", "node-7");
    make_pod("alone", NULL);
    make_pod("static", "Node");
}

static void assert_node_is_this_machine(void)
{
    _cleanup_json_ json_t *node = get("/api/v1/nodes/master-1");
    _cleanup_json_ json_t *drivers = get("/apis/storage.k8s.io/v1/csinodes/master-1");
    assert_string_equal(json_text_at(node, "metadata", "labels", "node_id", NULL), node_id);
    assert_string_equal(json_text_at(node, "metadata", "annotations", INSTANCE_ANNOTATION, NULL), instance);
    const json_t *kept = json_object_get(json_object_get(drivers, "spec"), "drivers");
    assert_int_equal(json_array_size(kept), 1);
    assert_string_equal(json_text(json_array_get(kept, 0), "name"), "nfs.example.com");
}

/* Twice: an event that was killed does it again. */
static void machines_of_the_other_cluster_are_forgotten(void **state)
{
    (void)state;
    make_restored_objects();
    for (int i = 0; i < 2; i++) {
        apply(&step_adopt_backup);
        assert_false(is_there("/api/v1/nodes/node-9"));
        assert_false(is_there(ATTACHMENTS "/of-stale-node"));
        assert_false(is_there(ATTACHMENTS "/of-replaced-machine"));
        assert_true(is_there(ATTACHMENTS "/of-nobody"));
        assert_node_is_this_machine();
        assert_false(is_there(PODS "/of-replica-set"));
        assert_true(is_there(PODS "/alone"));
        assert_true(is_there(PODS "/static"));
    }
}

/* Those who join find the cluster and its CA with the token. */
static void nodes_can_join(void **state)
{
    (void)state;
    _cleanup_secret_ char *token = NULL;
    _cleanup_json_ json_t *info = get("/api/v1/namespaces/kube-public/configmaps/cluster-info");
    assert_non_null(info);
    assert_non_null(strstr(json_text_at(info, "data", "kubeconfig", NULL), "https://" MASTER_IP ":6443"));
    assert_int_equal(file_read("/data/kubernetes/hooks/bootstrap-token", 0, &token, NULL, NULL), 0);
    _cleanup_free_ char *secret = xasprintf("/api/v1/namespaces/kube-system/secrets/bootstrap-token-%.6s", token);
    assert_true(is_there(secret));
}

/* The file of the token is gone; machines will join with the token that the metadata has. */
static void a_lost_token_is_the_registered_one(void **state)
{
    (void)state;
    static const char file[] = "/data/kubernetes/hooks/bootstrap-token";
    _cleanup_free_ char *hash = NULL;
    _cleanup_secret_ char *token = NULL;
    assert_int_equal(ca_public_key_hash(CA_CERTIFICATE, &hash, NULL), 0);
    _cleanup_free_ char *registered = xasprintf(
        "{\"api\":\"" MASTER_IP ":6443\",\"bootstrap_token\":\"abcdef.0123456789abcdef\",\"ca_hash\":\"%s\"}", hash);
    self.token = registered;
    assert_int_equal(unlink(file), 0);
    apply(&step_enable_token);
    self.token = NULL;
    assert_int_equal(file_read(file, 0, &token, NULL, NULL), 0);
    assert_string_equal(token, "abcdef.0123456789abcdef");
    assert_true(is_there("/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_of_this_cluster_needs_nothing),
        cmocka_unit_test(pods_stay_while_their_tokens_name_the_old_ca),
        cmocka_unit_test(machines_of_the_other_cluster_are_forgotten),
        cmocka_unit_test(nodes_can_join),
        cmocka_unit_test(a_lost_token_is_the_registered_one),
    };
    return cmocka_run_group_tests_name("adopt a foreign backup", tests, set_up, tear_down);
}
