#include "lib/core/json.h"
#include "tests/unit/app/facts_fixture.h"

#define KEY "ABCDEFGHIJKLMNOPQRST"

/* The metadata of one host of a cluster, free to be changed. */
static void hosts_are_by_role_then_sid(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = json_load_file("tests/golden/clusters/ssd-nodes/metadata.json", 0, NULL);
    cluster_generate(tree, "node", 12);
    json_object_del(json_object_get(json_object_get(tree, "hosts"), "log"), "i-log00001");
    _cleanup_json_ json_t *view = cluster_view(tree, "node", 11);
    _cleanup_(facts_freep) struct facts *facts = load(view);
    static const char *const names[] = {"master-1", "node-1",     "node-2",     "node-3", "node-4",  "node-5",
                                        "node-6",   "node-7",     "node-8",     "node-9", "node-10", "node-11",
                                        "node-12",  "ssd-node-1", "ssd-node-2", "log-2",  "client-1"};
    assert_int_equal(facts->n_hosts, ELEMENTS(names));
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        assert_string_equal(facts->hosts[i].node_name, names[i]);
    }
    assert_string_equal(facts->self->node_name, "node-11");
    assert_ptr_equal(facts_host(facts, "ssd_node", 1), &facts->hosts[14]);
    assert_null(facts_host(facts, "ssd_node", 2));
    assert_null(facts_host(facts, "node", 12));
    assert_null(facts_host(facts, "nobody", 0));
}

static void self_is_found_by_instance_or_by_role_sid_and_ip(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("three-logs", "log", 2);
    json_object_del(json_object_get(tree, "host"), "instance_id");
    _cleanup_(facts_freep) struct facts *facts = load(tree);
    assert_string_equal(facts->self->node_name, "log-2");
    assert_int_equal(facts->self_cpu, 4);
    assert_int_equal(facts->self_memory_mib, 8192);
    put(tree, "/host/ip", "192.168.3.77");
    assert_refused(tree, NULL, STATUS_METADATA_INVALID, "is not among /hosts");
    put(tree, "/host/instance_id", "i-log00003");
    _cleanup_(facts_freep) struct facts *other = load(tree);
    assert_string_equal(other->self->node_name, "log-3");
}

static void broken_structure_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value, *needle;
    } cases[] = {{"/cluster/cluster_id", NULL, "/cluster/cluster_id"},
                 {"/cluster/cluster_id", "a/../b", "/cluster/cluster_id"},
                 {"/cluster/vxnet", "", "/cluster/vxnet"},
                 {"/cluster/api_server/host", "a b", "/cluster/api_server/host"},
                 {"/cluster/api_server/port", "0", "/cluster/api_server/port"},
                 {"/cluster/api_server/protocol", "file", "/cluster/api_server/protocol"},
                 {"/cluster", NULL, "/cluster/cluster_id"},
                 {"/hosts", NULL, "/hosts names no host"},
                 {"/hosts/node/i-nod00001/ip", NULL, "/hosts/node/i-nod00001/ip"},
                 {"/hosts/node/i-nod00001/ip", "1.2.3.4\nevil", "/hosts/node/i-nod00001/ip"},
                 {"/hosts/node/i-nod00001/sid", "0", "/hosts/node/i-nod00001/sid"},
                 {"/hosts/node/i-nod00001/sid", "2", "/hosts/node has sid 2 twice"},
                 {"/hosts/node/i-nod00001/node_id", "a=b,c", "/hosts/node/i-nod00001/node_id"},
                 {"/hosts/node/i-nod00001/mac", "a\nb", "/hosts/node/i-nod00001/mac"},
                 {"/hosts/client/i-cli00001/pub_key", "ssh-rsa A\nssh-rsa B", "/hosts/client/i-cli00001/pub_key"},
                 {"/hosts/node/i x", "leaf", "/hosts/node holds an unusable instance id"},
                 {"/host", NULL, "is not among /hosts"}};
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_json_ json_t *tree = metadata("three-logs", "master", 1);
        if (cases[i].value == NULL) {
            assert_true(tree_delete(tree, cases[i].path, NULL));
        } else {
            put(tree, cases[i].path, cases[i].value);
        }
        assert_refused(tree, NULL, STATUS_METADATA_INVALID, cases[i].needle);
    }
    _cleanup_json_ json_t *list = json_array();
    assert_refused(list, NULL, STATUS_METADATA_INVALID, "not an object");
}

static void parameters_are_refused_together(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("es-server", "master", 1);
    put(tree, "/env/max_pods", "61");
    put(tree, "/env/pod_vxnets", "vxnet-main001");
    put(tree, "/env/es_server", "");
    assert_refused(tree, NULL, STATUS_PARAMETER, "\n  max_pods \"61\": ");
    assert_refused(tree, NULL, STATUS_PARAMETER, "\n  pod_vxnets holds \"vxnet-main001\"");
    assert_refused(tree, NULL, STATUS_PARAMETER, "\n  es_server: there is no log node");
    json_object_del(tree, "env");
    assert_refused(tree, NULL, STATUS_PARAMETER, "\n  access_key_id: required");
}

static void a_refused_secret_is_not_quoted(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("es-server", "master", 1);
    put(tree, "/env/secret_access_key", "hunter2");
    struct facts *facts = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(facts_load(&facts, tree, NULL, &err), -1);
    assert_null(strstr(err->message, "hunter2"));
    assert_non_null(strstr(err->message, "secret_access_key: 40 letters and digits"));
}

static void a_single_cause_has_its_own_status(void **state)
{
    (void)state;
    _cleanup_json_ json_t *no_log = metadata("es-server", "master", 1);
    put(no_log, "/env/es_server", "");
    assert_refused(no_log, NULL, STATUS_LOG_NONE, "es_server: there is no log node");
    _cleanup_json_ json_t *vxnet = metadata("hostnic", "master", 1);
    put(vxnet, "/env/pod_vxnets", "vxnet-pods01 vxnet-main001");
    assert_refused(vxnet, NULL, STATUS_VXNET_CLUSTER, "vxnet-main001");
    /* meant, but misspelt: that is what has to be told */
    put(no_log, "/env/es_server", "es");
    assert_refused(no_log, NULL, STATUS_PARAMETER, "es_server \"es\": empty or host:port");
}

static void log_nodes_come_before_a_link_before_an_address(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("elk-link", "master", 1);
    _cleanup_(facts_freep) struct facts *linked = load(tree);
    assert_int_equal(linked->log_target, LOG_ELK_LINK);
    assert_string_equal(linked->es_host, "192.168.9.11");
    assert_int_equal(linked->es_port, 9201);
    cluster_generate(tree, "log", 2);
    _cleanup_(facts_freep) struct facts *nodes = load(tree);
    assert_int_equal(nodes->log_target, LOG_NODES);
    assert_string_equal(nodes->es_host, ELASTICSEARCH_IP);
    assert_int_equal(nodes->es_port, 9200);
    assert_int_equal(nodes->n_logs, 2);
    assert_true(tree_delete(tree, "/hosts/log", NULL));
    assert_true(tree_delete(tree, "/links", NULL));
    _cleanup_(facts_freep) struct facts *address = load(tree);
    assert_int_equal(address->log_target, LOG_ES_SERVER);
    assert_string_equal(address->es_host, "ignored.example.com");
    assert_int_equal(address->es_port, 9200);
}

static void a_link_s_port_and_roles_may_be_left_out(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("elk-link", "node", 1);
    assert_true(tree_delete(tree, "/links/elk_service/cluster", NULL));
    assert_true(tree_delete(tree, "/links/elk_service/hosts", "es_node"));
    put(tree, "/links/elk_service/hosts/kibana_node/i-kib00001/ip", "192.168.9.8");
    _cleanup_(facts_freep) struct facts *facts = load(tree);
    assert_string_equal(facts->es_host, "192.168.9.8");
    assert_int_equal(facts->es_port, 9200);
    put(tree, "/links/elk_service/hosts/kibana_node/i-kib00001/ip", "nowhere");
    assert_refused(tree, NULL, STATUS_METADATA_INVALID, "/links/elk_service/hosts");
}

static void leaving_log_nodes_do_not_count(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("scaling-in", "master", 1);
    _cleanup_(facts_freep) struct facts *facts = load(tree);
    assert_int_equal(facts->n_logs, 2);
    assert_true(facts_host(facts, "log", 2)->deleting);
    assert_true(facts_host(facts, "node", 1)->deleting);
    assert_false(facts_host(facts, "node", 0)->deleting);
    for (int sid = 1; sid <= 2; sid++) {
        _cleanup_free_ char *path = xasprintf("/deleting-hosts/log/i-log0000%d/sid", sid);
        put(tree, path, "x");
    }
    assert_refused(tree, NULL, STATUS_LOG_NONE, "there is no log node");
    /* the leaving host itself has still to stop in good order */
    _cleanup_json_ json_t *host = json_pack("{s:s}", "instance_id", "i-log00001");
    json_object_set(tree, "host", host);
    _cleanup_(facts_freep) struct facts *leaving = load(tree);
    assert_int_equal(leaving->log_target, LOG_NODES);
    assert_int_equal(leaving->n_logs, 0);
}

static void arriving_hosts_are_marked(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("scaling-out", "node", 3);
    _cleanup_(facts_freep) struct facts *facts = load(tree);
    assert_true(facts->self->adding);
    assert_false(facts_host(facts, "node", 0)->adding);
}

static void etcd_is_the_linked_one_if_there_is_one(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("etcd-link", "master", 1);
    _cleanup_(facts_freep) struct facts *facts = load(tree);
    assert_true(facts->etcd_linked);
    assert_int_equal(strv_length(facts->etcd_endpoints), 3);
    assert_string_equal(facts->etcd_endpoints[0], "http://192.168.8.1:2379");
    assert_string_equal(facts->etcd_endpoints[2], "http://192.168.8.3:2379");
    assert_string_equal(facts->etcd_prefix, "/cl-a1b2c3d4");
    assert_true(tree_delete(tree, "/links", NULL));
    _cleanup_(facts_freep) struct facts *local = load(tree);
    assert_false(local->etcd_linked);
    assert_int_equal(strv_length(local->etcd_endpoints), 0);
    assert_string_equal(local->etcd_prefix, "/registry");
}

static void the_cloud_s_api_has_defaults(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("smallest", "master", 1);
    _cleanup_(facts_freep) struct facts *plain = load(tree);
    assert_string_equal(plain->cluster.api_host, "api.qingcloud.com");
    assert_string_equal(plain->cluster.api_protocol, "https");
    assert_int_equal(plain->cluster.api_port, 443);
    struct conf conf = {.cloud = {.protocol = (char *)"http", .host = (char *)"10.0.0.9", .port = 7777}};
    _cleanup_(facts_freep) struct facts *private = NULL;
    assert_int_equal(facts_load(&private, tree, &conf, NULL), 0);
    assert_string_equal(private->cluster.api_host, "10.0.0.9");
    assert_int_equal(private->cluster.api_port, 7777);
    put(tree, "/cluster/api_server/host", "api.private.example.com");
    _cleanup_(facts_freep) struct facts *told = NULL;
    assert_int_equal(facts_load(&told, tree, &conf, NULL), 0);
    assert_string_equal(told->cluster.api_host, "api.private.example.com");
    assert_string_equal(told->cluster.api_protocol, "http");
}

static void the_network_is_chosen_by_parameter_or_configuration(void **state)
{
    (void)state;
    _cleanup_json_ json_t *hostnic = metadata("hostnic", "master", 1);
    _cleanup_json_ json_t *flannel = metadata("three-logs", "master", 1);
    struct conf bridge = {.network = {.mode = (char *)"bridge"}};
    _cleanup_(facts_freep) struct facts *a = load(hostnic);
    _cleanup_(facts_freep) struct facts *b = load(flannel);
    _cleanup_(facts_freep) struct facts *c = NULL;
    assert_int_equal(facts_load(&c, hostnic, &bridge, NULL), 0);
    assert_int_equal(a->network, NETWORK_HOSTNIC);
    assert_int_equal(b->network, NETWORK_FLANNEL);
    assert_int_equal(c->network, NETWORK_BRIDGE);
    put(flannel, "/hosts/node/i-nod00002/sid", "121");
    assert_refused(flannel, &bridge, STATUS_METADATA_INVALID, "node-121");
}

static void no_two_hosts_share_a_pod_network(void **state)
{
    (void)state;
    static const struct {
        const char *role;
        int count;
    } room[] = {{"master", 1}, {"node", 120}, {"ssd_node", 120}, {"log", 15}};
    bool taken[256] = {false};
    for (size_t i = 0; i < ELEMENTS(room); i++) {
        struct host host = {.role = (char *)room[i].role};
        for (host.sid = 1; host.sid <= room[i].count; host.sid++) {
            _cleanup_free_ char *cidr = facts_node_cidr(&host);
            assert_true(str_starts(cidr, "10.244.") && str_ends(cidr, ".0/24"));
            unsigned long third = strtoul(cidr + strlen("10.244."), NULL, 10);
            assert_true(third < 256 && !taken[third]);
            taken[third] = true;
        }
        assert_null(facts_node_cidr(&host));
    }
    struct host client = {.role = (char *)"client", .sid = 1};
    assert_null(facts_node_cidr(&client));
}

static void pod_vxnets_may_only_grow(void **state)
{
    (void)state;
    _cleanup_json_ json_t *before = metadata("hostnic", "master", 1);
    _cleanup_json_ json_t *tree = json_deep_copy(before);
    put(tree, "/env/pod_vxnets", "vxnet-pods03 vxnet-pods02 vxnet-pods01");
    _cleanup_(facts_freep) struct facts *more = load(tree);
    assert_int_equal(facts_check_change(more, before, NULL), 0);
    assert_int_equal(facts_check_change(more, NULL, NULL), 0);
    put(tree, "/env/pod_vxnets", "vxnet-pods02 vxnet-pods03");
    _cleanup_(facts_freep) struct facts *less = load(tree);
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(facts_check_change(less, before, &err), -1);
    assert_int_equal(err->status, STATUS_VXNET_REMOVED);
    assert_non_null(strstr(err->message, "vxnet-pods01"));
    assert_null(strstr(err->message, "vxnet-pods02"));
}

static void without_pod_vxnets_the_cluster_s_own_serves_with_a_warning(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("hostnic", "master", 1);
    put(tree, "/env/pod_vxnets", "");
    _cleanup_(facts_freep) struct facts *facts = load(tree);
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    _cleanup_strv_ char **warnings = facts_warnings(facts);
    assert_int_equal(strv_length(vxnets), 1);
    assert_string_equal(vxnets[0], "vxnet-main001");
    assert_int_equal(strv_length(warnings), 1);
    assert_non_null(strstr(warnings[0], "pod_vxnets is empty"));
}

static void overridden_settings_are_warned_of(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("elk-link", "master", 1);
    put(tree, "/env/dockerhub_password", "alone");
    _cleanup_(facts_freep) struct facts *linked = load(tree);
    _cleanup_strv_ char **warnings = facts_warnings(linked);
    assert_int_equal(strv_length(warnings), 2);
    assert_non_null(strstr(warnings[0], "logs go to the ELK app"));
    assert_non_null(strstr(warnings[1], "dockerhub_password"));
    cluster_generate(tree, "log", 2);
    _cleanup_(facts_freep) struct facts *nodes = load(tree);
    _cleanup_strv_ char **others = facts_warnings(nodes);
    assert_non_null(strstr(others[0], "logs go to the log nodes"));
}

static void the_token_may_be_text_or_a_tree(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tree = metadata("three-logs", "node", 1);
    json_t *master = tree_at(tree, "/hosts/master/i-mas00001");
    for (int i = 0; i < 2; i++) {
        _cleanup_(facts_freep) struct facts *facts = load(tree);
        _cleanup_token_ struct join_token token = {0};
        assert_int_equal(facts_join_token(facts, &token, NULL), 0);
        assert_string_equal(token.api, "192.168.0.2:6443");
        assert_string_equal(token.bootstrap, "abcdef.0123456789abcdef");
        assert_true(str_starts(token.ca_hash, "sha256:0f0f"));
        assert_string_equal(token.kubeconfig, "c2VhbGVk");
        json_object_set_new(master, "token", json_loads(json_text(master, "token"), 0, NULL));
    }
}

static void a_token_is_absent_or_unusable(void **state)
{
    (void)state;
    static const struct {
        const char *token;
        int status;
        const char *needle;
    } cases[] = {
        {"", STATUS_TOKEN_ABSENT, "no token yet"},
        {"hello", STATUS_METADATA_INVALID, "it must be a JSON object"},
        {"{}", STATUS_METADATA_INVALID, "api must be"},
        {"{\"api\":\"a:1\",\"bootstrap_token\":\"x\"}", STATUS_METADATA_INVALID, "bootstrap_token must be"},
        {"{\"api\":\"a:1\",\"bootstrap_token\":\"abcdef.0123456789abcdef\",\"ca_hash\":\"sha256:00\"}",
         STATUS_METADATA_INVALID, "ca_hash must be"},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_json_ json_t *tree = metadata("three-logs", "node", 1);
        put(tree, "/hosts/master/i-mas00001/token", cases[i].token);
        _cleanup_(facts_freep) struct facts *facts = load(tree);
        _cleanup_token_ struct join_token token = {0};
        _cleanup_error_ struct error *err = NULL;
        assert_int_equal(facts_join_token(facts, &token, &err), -1);
        assert_int_equal(err->status, cases[i].status);
        assert_non_null(strstr(err->message, cases[i].needle));
        assert_null(strstr(err->message, "abcdef.0123456789abcdef"));
        _cleanup_json_ json_t *context = facts_context(facts);
        assert_null(json_object_get(context, "token"));
    }
}

static void scaling_roles_are_read_in_any_form(void **state)
{
    (void)state;
    static const char *const forms[] = {"[\"node\", \"log\"]", "node,log", "node log"};
    for (size_t i = 0; i < ELEMENTS(forms); i++) {
        _cleanup_json_ json_t *tree = metadata("three-logs", "node", 1);
        put(tree, "/vertical-scaling-roles", forms[i]);
        _cleanup_(facts_freep) struct facts *facts = load(tree);
        assert_int_equal(strv_length(facts->vertical_scaling_roles), 2);
        assert_string_equal(facts->vertical_scaling_roles[1], "log");
    }
}

static void ten_thousand_hosts_are_taken(void **state)
{
    (void)state;
    _cleanup_json_ json_t *document = cluster_load("three-logs", NULL);
    cluster_generate(document, "ssd_node", 10000);
    _cleanup_json_ json_t *view = cluster_view(document, "ssd_node", 9999);
    _cleanup_(facts_freep) struct facts *facts = load(view);
    _cleanup_json_ json_t *context = facts_context(facts);
    json_t *nodes = json_object_get(context, "nodes");
    assert_int_equal(json_array_size(nodes), 10006);
    json_t *self = json_array_get(nodes, 3 + 9998);
    assert_string_equal(json_text(self, "node_name"), "ssd-node-9999");
    assert_true(json_is_true(json_object_get(self, "is_self")));
    assert_int_equal(json_array_size(json_object_get(context, "others")), 10005);
}

static json_int_t number_of(const char *memory, const char *pods, const char *section, const char *key)
{
    _cleanup_json_ json_t *tree = metadata("three-logs", "log", 1);
    put(tree, "/hosts/log/i-log00001/memory", "65536");
    put(tree, "/hosts/log/i-log00002/memory", memory);
    put(tree, "/hosts/log/i-log00003/memory", "65536");
    put(tree, "/host/memory", memory);
    put(tree, "/env/max_pods", pods);
    _cleanup_(facts_freep) struct facts *facts = load(tree);
    _cleanup_json_ json_t *context = facts_context(facts);
    return json_integer_value(json_object_get(json_object_get(context, section), key));
}

static void the_heap_and_what_the_kubelet_reserves_follow_the_memory(void **state)
{
    (void)state;
    static const struct {
        const char *memory, *pods;
        int heap, reserved, millis;
    } cases[] = {{"2048", "60", 1024, 402, 100},    {"1024", "60", 512, 256, 100},
                 {"4096", "60", 2048, 504, 100},    {"4096", "240", 2048, 1024, 280},
                 {"16384", "240", 8192, 2019, 280}, {"65536", "60", 31744, 3576, 100}};
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        const char *memory = cases[i].memory;
        const char *pods = cases[i].pods;
        assert_int_equal(number_of(memory, pods, "logging", "heap_mib"), cases[i].heap);
        assert_int_equal(number_of(memory, pods, "kube", "reserved_memory_mib"), cases[i].reserved);
        assert_int_equal(number_of(memory, pods, "kube", "reserved_cpu_millis"), cases[i].millis);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_by_role_then_sid),
        cmocka_unit_test(self_is_found_by_instance_or_by_role_sid_and_ip),
        cmocka_unit_test(broken_structure_is_named),
        cmocka_unit_test(parameters_are_refused_together),
        cmocka_unit_test(a_refused_secret_is_not_quoted),
        cmocka_unit_test(a_single_cause_has_its_own_status),
        cmocka_unit_test(log_nodes_come_before_a_link_before_an_address),
        cmocka_unit_test(a_link_s_port_and_roles_may_be_left_out),
        cmocka_unit_test(leaving_log_nodes_do_not_count),
        cmocka_unit_test(arriving_hosts_are_marked),
        cmocka_unit_test(etcd_is_the_linked_one_if_there_is_one),
        cmocka_unit_test(the_cloud_s_api_has_defaults),
        cmocka_unit_test(the_network_is_chosen_by_parameter_or_configuration),
        cmocka_unit_test(no_two_hosts_share_a_pod_network),
        cmocka_unit_test(pod_vxnets_may_only_grow),
        cmocka_unit_test(without_pod_vxnets_the_cluster_s_own_serves_with_a_warning),
        cmocka_unit_test(overridden_settings_are_warned_of),
        cmocka_unit_test(the_token_may_be_text_or_a_tree),
        cmocka_unit_test(a_token_is_absent_or_unusable),
        cmocka_unit_test(scaling_roles_are_read_in_any_form),
        cmocka_unit_test(ten_thousand_hosts_are_taken),
        cmocka_unit_test(the_heap_and_what_the_kubelet_reserves_follow_the_memory),
    };
    return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
