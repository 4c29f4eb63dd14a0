/* What facts_load refuses although each value alone is right. */
#include "tests/unit/app/facts_fixture.h"

static void networks_are_apart_from_each_other(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value;
        bool hostnic;
        const char *needle; /* NULL: accepted */
    } cases[] = {
        {"/env/docker_bip", "10.96.200.1/24", false,
         "\n  docker_bip \"10.96.200.1/24\": a network apart from 10.96.0.0/16, that of the services"},
        {"/env/docker_bip", "10.0.0.1/8", false, "apart from 10.96.0.0/16, that of the services"},
        {"/env/docker_bip", "10.0.0.1/8", false, "apart from 10.244.0.0/16, that of the pods"},
        {"/env/docker_bip", "10.244.0.1/24", true, NULL},
        {"/env/docker_bip", "192.168.0.1/24", false, "apart from 192.168.0.2, the address of master-1"},
        {"/hosts/node/i-nod00001/ip", "10.244.7.9", false,
         "\n  the cluster's vxnet: one whose addresses are not in 10.244.0.0/16, the network of the pods: node-1 has "
         "10.244.7.9"},
        {"/hosts/node/i-nod00001/ip", "10.244.7.9", true, NULL},
        {"/hosts/node/i-nod00001/ip", "10.96.1.1", true, "not in 10.96.0.0/16, the network of the services: node-1"},
        {"/hosts/node/i-nod00001/ip", "10.95.255.255", false, NULL},
        {"/env/fluent_forward_server", "172.30.0.9:24224", false, "the address of fluent_forward_server"},
        {"/env/fluent_forward_server", "10.96.3.3:24224", false, NULL}, /* a Service of this cluster */
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_json_ json_t *tree = metadata("three-logs", "master", 1);
        put(tree, "/env/enable_hostnic", cases[i].hostnic ? "true" : "false");
        put(tree, "/env/docker_bip", "172.30.0.1/16");
        put(tree, cases[i].path, cases[i].value);
        if (cases[i].needle != NULL) {
            assert_refused(tree, NULL, STATUS_PARAMETER, cases[i].needle);
        } else {
            _cleanup_(facts_freep) struct facts *facts = load(tree);
            assert_non_null(facts);
        }
    }
}

static void the_api_s_name_hides_no_other_name(void **state)
{
    (void)state;
    static const char *const names[] = {"metadata",
                                        "localhost",
                                        "kubernetes",
                                        "kubernetes.default",
                                        "kubernetes.default.svc",
                                        "kubernetes.default.svc.cluster.local",
                                        "api.qingcloud.com",
                                        "node-1",
                                        "harbor.example.com"};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        _cleanup_json_ json_t *tree = metadata("three-logs", "master", 1);
        _cleanup_free_ char *needle =
            xasprintf("\n  api_external_domain \"%s\": a DNS name in small letters that is not "
                      "already the name of ",
                      names[i]);
        put(tree, "/env/private-registry", "harbor.example.com:5000");
        put(tree, "/env/api_external_domain", names[i]);
        assert_refused(tree, NULL, STATUS_PARAMETER, needle);
    }
    static const char *const free_names[] = {"k8s.cluster.local", "kubernetes.example.com",
                                             "kubernetes.default.example", "localhost.example.com"};
    for (size_t i = 0; i < ELEMENTS(free_names); i++) {
        _cleanup_json_ json_t *tree = metadata("three-logs", "master", 1);
        put(tree, "/env/api_external_domain", free_names[i]);
        _cleanup_(facts_freep) struct facts *facts = load(tree);
        assert_string_equal(facts->parameters.api_external_domain, free_names[i]);
    }
}

static void a_cluster_has_one_master_and_each_address_once(void **state)
{
    (void)state;
    _cleanup_json_ json_t *two = metadata("three-logs", "node", 1);
    put(two, "/hosts/master/i-mas00002/ip", "192.168.0.77");
    put(two, "/hosts/master/i-mas00002/sid", "2");
    put(two, "/hosts/master/i-mas00002/node_id", "cln-mas00002");
    assert_refused(two, NULL, STATUS_METADATA_INVALID,
                   "/hosts/master has master-1 (192.168.0.2) and master-2 (192.168.0.77): a cluster has one master");
    _cleanup_json_ json_t *twice = metadata("three-logs", "master", 1);
    put(twice, "/hosts/node/i-nod00001/ip", "192.168.0.2");
    assert_refused(twice, NULL, STATUS_METADATA_INVALID, "have the same ip 192.168.0.2");
    static const char *const impossible[] = {"0.0.0.0",   "127.0.0.1",       "169.254.1.1",
                                             "224.0.0.1", "255.255.255.255", "240.1.2.3"};
    for (size_t i = 0; i < ELEMENTS(impossible); i++) {
        _cleanup_json_ json_t *tree = metadata("three-logs", "master", 1);
        put(tree, "/hosts/node/i-nod00001/ip", impossible[i]);
        assert_refused(tree, NULL, STATUS_METADATA_INVALID, "/hosts/node/i-nod00001/ip must be an IPv4 address that");
    }
}

/* authorized_keys(5) takes what stands before the kind of key as options: they must never come from the metadata. */
static void a_public_key_with_options_is_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "cert-authority %s",
        "command=\"rm -rf /\" %s",
        "%s\nssh-rsa AAAA",
        "environment=\"A=B\",restrict %s",
        "# %s",
        "ssh-ed25519 AAAA",
        "ssh-rsa",
        "ssh-rsa AAAA",
        "ssh-rsa %s",
    };
    _cleanup_json_ json_t *tree = metadata("three-logs", "master", 1);
    const char *path = "/hosts/client/i-cli00001/pub_key";
    _cleanup_free_ char *good = xstrdup(json_string_value(tree_at(tree, path)));
    _cleanup_free_ char *alone =
        xasprintf("ssh-rsa %.*s", (int)strcspn(good + strlen("ssh-rsa "), " "), good + strlen("ssh-rsa "));
    for (size_t i = 0; i < ELEMENTS(refused); i++) {
        const char *mark = strstr(refused[i], "%s");
        _cleanup_free_ char *line =
            mark == NULL ? xstrdup(refused[i])
                         : xasprintf("%.*s%s%s", (int)(mark - refused[i]), refused[i], good, mark + strlen("%s"));
        put(tree, path, line);
        assert_refused(tree, NULL, STATUS_METADATA_INVALID,
                       "/hosts/client/i-cli00001/pub_key must be \"ssh-rsa BASE64\"");
    }
    static const char *const tails[] = {"", " root@i-cli00001", "   two words \n", "\n"};
    static const char *const kept[] = {"", " root@i-cli00001", " two words", ""};
    for (size_t i = 0; i < ELEMENTS(tails); i++) {
        _cleanup_free_ char *line = xasprintf("%s%s", alone, tails[i]);
        _cleanup_free_ char *expected = xasprintf("%s%s", alone, kept[i]);
        put(tree, path, line);
        _cleanup_(facts_freep) struct facts *facts = load(tree);
        assert_string_equal(facts->client->pub_key, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_apart_from_each_other),
        cmocka_unit_test(the_api_s_name_hides_no_other_name),
        cmocka_unit_test(a_cluster_has_one_master_and_each_address_once),
        cmocka_unit_test(a_public_key_with_options_is_refused),
    };
    return cmocka_run_group_tests_name("facts of a cluster that cannot be", tests, NULL, NULL);
}
