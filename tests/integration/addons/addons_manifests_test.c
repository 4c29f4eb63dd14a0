/* What the shipped add-ons are rendered to for each whole cluster of tests/golden, given to a real API server; and a
 * cluster that goes through changes of its parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <yaml.h>

#include "app/facts/facts.h"
#include "hooks/addons/addons.h"
#include "hooks/addons/addons_files.h"
#include "hooks/clients/kubectl.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "tests/lab/shared/apiserver.h"
#include "tests/lab/shared/cluster.h"

#define OPT "tests/golden/opt"

static const char *const clusters[] = {
    "scaling-out", "smallest", "three-logs",    "elk-link",  "es-server",  "etcd-link",        "hostnic",
    "istio",       "hostile",  "hundred-nodes", "ssd-nodes", "scaling-in", "private-registry", "insecure-registries"};

static struct apiserver server;
static char *skip[] = {NULL};
static struct conf conf = {
    .paths = {.roles = (char *)"roles", .templates = (char *)"templates"}, /* .opt: the server's */
    .network = {.mode = (char *)"auto"},
    .addons = {.enabled = true, .skip = skip},
};
static const struct role master = {.name = "master", .state = "/state", .kubelet = true, .control_plane = true};

static void must(int result, struct error **err)
{
    if (result < 0) {
        fail_msg("%s", *err != NULL ? (*err)->message : "failed");
    }
}

/* What a golden cluster's image brings, beside the server's kubectl. */
static int link_image_part(const char *name, struct error **err)
{
    _cleanup_free_ char *golden = path_join(OPT, name);
    _cleanup_free_ char *target = realpath(golden, NULL);
    _cleanup_free_ char *link = path_join(conf.paths.opt, name);
    return link_make(target, link, NULL, err);
}

static int set_up(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    if (apiserver_start(&server, &err) == 0) {
        conf.paths.opt = path_join(server.root, "opt/kubernetes");
        if (link_image_part("manifests", &err) == 0 && link_image_part("versions.json", &err) == 0) {
            return 0;
        }
    }
    print_error("%s\n", err->message);
    apiserver_stop(&server);
    return -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(conf.paths.opt);
    apiserver_stop(&server);
    return 0;
}

static struct run new_run(void)
{
    return (struct run){.role = &master, .conf = &conf, .root = server.root, .deadline = deadline_in(250000)};
}

static json_t *context_of(const json_t *cluster)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_(facts_freep) struct facts *facts = NULL;
    _cleanup_json_ json_t *view = cluster_view(cluster, "master", 1);
    assert_non_null(view);
    must(facts_load(&facts, view, &conf, &err), &err);
    return facts_context(facts);
}

static json_t *load(const char *name)
{
    _cleanup_error_ struct error *err = NULL;
    json_t *cluster = cluster_load(name, &err);
    if (cluster == NULL) {
        fail_msg("%s", err->message);
    }
    return cluster;
}

static void render(const char *name, struct manifest *all)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *cluster = load(name);
    _cleanup_json_ json_t *context = context_of(cluster);
    _cleanup_rendered_addons_ struct rendered_addons addons = {0};
    must(addons_render(&addons, &conf, context, false, &err), &err);
    for (size_t i = 0; i < addons.n; i++) {
        if (addons.list[i].on) {
            must(manifest_add(all, addons.list[i].name, addons.list[i].text, &err), &err);
        }
    }
    manifest_sort(all);
}

/* After manifest_sort: where those begin that the API server does not take under server-side apply. */
static size_t first_api_service(const struct manifest *manifest)
{
    size_t n = manifest->n;
    while (n > 0 && strcmp(manifest->documents[n - 1].object.kind, "APIService") == 0) {
        n--;
    }
    return n;
}

static void dry_run_api_services(const struct manifest *manifest)
{
    static const char *const dry[] = {"apply", "--dry-run=server", "--filename=-", NULL};
    const struct run run = new_run();
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *text = manifest_text(manifest, first_api_service(manifest), manifest->n);
    must(kubectl(&run, dry, text, NULL, &err), &err);
}

/* What the API server made of the manifest, without keeping it: an array of objects. */
static json_t *dry_run(const struct manifest *manifest)
{
    static const char *const real[] = {"apply", "--server-side", "--force-conflicts", "--filename=-", NULL};
    static const char *const dry[] = {
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--output=json", "--filename=-", NULL};
    static const char *const established[] = {
        "wait", "--for=condition=Established", "--timeout=60s", "customresourcedefinition", "--all", NULL};
    const struct run run = new_run();
    _cleanup_error_ struct error *err = NULL;
    size_t definitions = manifest_definitions(manifest);
    size_t services = first_api_service(manifest);
    _cleanup_free_ char *first = manifest_text(manifest, 0, definitions);
    _cleanup_free_ char *rest = manifest_text(manifest, definitions, services);
    _cleanup_free_ char *output = NULL;
    must(kubectl(&run, real, first, NULL, &err), &err);
    if (strstr(first, "kind: CustomResourceDefinition") != NULL) {
        must(kubectl(&run, established, NULL, NULL, &err), &err);
    }
    must(kubectl(&run, dry, rest, &output, &err), &err);
    dry_run_api_services(manifest);
    _cleanup_json_ json_t *list = json_loads(output, 0, NULL);
    json_t *items = json_incref(json_object_get(list, "items"));
    assert_int_equal(json_array_size(items), services - definitions);
    return items;
}

static void check_yaml(const char *name, const char *text)
{
    yaml_parser_t parser;
    yaml_document_t document;
    assert_int_equal(yaml_parser_initialize(&parser), 1);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (yaml_parser_load(&parser, &document) != 1) {
        fail_msg("%s is no YAML at line %zu: %s", name, parser.problem_mark.line + 1, parser.problem);
    }
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
}

/* Sections in brackets, each with lines of a key and a value; every input, filter and output names its plugin first. */
static void check_fluent_bit(const char *text)
{
    _cleanup_free_ char *copy = xstrdup(text);
    char *rest = copy;
    bool expect_name = false;
    size_t sections = 0;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        _cleanup_strv_ char **word = strv_split(line);
        if (word[0] == NULL) {
            continue;
        }
        if (line[0] == '[') {
            static const char *const known[] = {"[SERVICE]", "[INPUT]", "[FILTER]", "[OUTPUT]", "[PARSER]", NULL};
            assert_true(strv_contains((char *const *)known, line));
            assert_false(expect_name);
            expect_name = strcmp(line, "[SERVICE]") != 0;
            sections++;
            continue;
        }
        assert_true(str_starts(line, "    ") && sections > 0);
        assert_true(strv_length(word) >= 2);
        assert_true(!expect_name || strcmp(word[0], "Name") == 0);
        expect_name = false;
    }
    assert_true(sections > 0);
}

static void check_content(const char *name, const char *text)
{
    static const char *const json[] = {"hostnic", "hostnic-cni", "ipam", NULL};
    if (str_ends(name, ".json") || strv_contains((char *const *)json, name)) {
        _cleanup_json_ json_t *value = json_loads(text, 0, NULL);
        if (value == NULL) {
            fail_msg("%s is no JSON: %s", name, text);
        }
    } else if (strcmp(name, "fluent-bit.conf") == 0 || strcmp(name, "parsers.conf") == 0) {
        check_fluent_bit(text);
    } else if (str_ends(name, ".yaml") || str_ends(name, ".yml") || str_ends(name, ".conf")) {
        check_yaml(name, text);
    }
}

static char *decoded(const char *text)
{
    _cleanup_error_ struct error *err = NULL;
    unsigned char *data = NULL;
    size_t len = 0;
    must(base64_decode(text, &data, &len, &err), &err);
    char *string = xstrndup((const char *)data, len);
    free(data);
    return string;
}

static void check_contents(const json_t *items)
{
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach (items, i, item) {
        bool secret = strcmp(json_string_value(json_object_get(item, "kind")), "Secret") == 0;
        const char *name = NULL;
        json_t *value = NULL;
        json_object_foreach (json_object_get(item, "data"), name, value) {
            _cleanup_free_ char *text = secret ? decoded(json_string_value(value)) : xstrdup(json_string_value(value));
            check_content(name, text);
        }
    }
}

static void test_api_server_takes_every_cluster(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(clusters); i++) {
        _cleanup_manifest_ struct manifest manifest = {0};
        render(clusters[i], &manifest);
        _cleanup_json_ json_t *items = dry_run(&manifest);
        check_contents(items);
    }
}

static json_t *object(const char *kind, const char *name)
{
    const struct run run = new_run();
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *output = NULL;
    const char *const get[] = {"get", kind, name, "--namespace=kube-system", "--output=json", "--ignore-not-found",
                               NULL};
    must(kubectl(&run, get, NULL, &output, &err), &err);
    return str_empty(output) ? NULL : json_loads(output, 0, NULL);
}

/* The value at PATH ("spec.clusterIP"), a number as an array's index; a text, or a number as text. */
static char *member(const json_t *value, const char *path)
{
    _cleanup_free_ char *copy = xstrdup(path);
    char *rest = copy;
    for (char *part = strsep(&rest, "."); part != NULL && value != NULL; part = strsep(&rest, ".")) {
        value = json_is_array(value) ? json_array_get(value, (size_t)strtoul(part, NULL, 10))
                                     : json_object_get(value, part);
    }
    return json_is_integer(value) ? xasprintf("%lld", (long long)json_integer_value(value))
                                  : xstrdup(json_string_value(value));
}

static void assert_member(const char *kind, const char *name, const char *path, const char *expected)
{
    _cleanup_json_ json_t *value = object(kind, name);
    assert_non_null(value);
    _cleanup_free_ char *is = member(value, path);
    if (expected == NULL) {
        assert_null(is);
    } else {
        assert_non_null(is);
        assert_string_equal(is, expected);
    }
}

static void assert_absent(const char *kind, const char *name)
{
    _cleanup_json_ json_t *value = object(kind, name);
    assert_null(value);
}

static void carry_out(const json_t *cluster)
{
    const struct run run = new_run();
    _cleanup_json_ json_t *context = context_of(cluster);
    _cleanup_error_ struct error *err = NULL;
    _cleanup_(addons_plan_freep) struct addons_plan *plan = NULL;
    _cleanup_(addons_plan_freep) struct addons_plan *again = NULL;
    must(addons_plan_make(&plan, &run, context, &err), &err);
    must(addons_plan_carry_out(plan, &err), &err);
    must(addons_plan_make(&again, &run, context, &err), &err);
    assert_true(addons_plan_empty(again));
}

static void set(json_t *cluster, const char *key, const char *value)
{
    json_object_set_new(json_object_get(cluster, "env"), key, json_string(value));
}

/* Logs go to log nodes, then to an address, then to a name, and back: one service keeps its name all the time. */
static void test_elasticsearch_moves(void **state)
{
    (void)state;
    _cleanup_json_ json_t *nodes = load("three-logs");
    _cleanup_json_ json_t *address = load("smallest");
    _cleanup_json_ json_t *name = load("es-server");
    carry_out(nodes);
    assert_member("service", "elasticsearch-logging", "spec.clusterIP", "10.96.0.11");
    assert_member("service", "elasticsearch-logging", "spec.selector.k8s-app", "elasticsearch-logging");
    assert_member("statefulset", "elasticsearch-logging", "spec.replicas", "3");

    carry_out(address);
    assert_absent("statefulset", "elasticsearch-logging");
    assert_member("service", "elasticsearch-logging", "spec.clusterIP", "10.96.0.11");
    assert_member("service", "elasticsearch-logging", "spec.selector.k8s-app", NULL);
    _cleanup_json_ json_t *context = context_of(address);
    _cleanup_free_ char *host = member(context, "logging.host");
    assert_member("endpoints", "elasticsearch-logging", "subsets.0.addresses.0.ip", host);

    carry_out(name);
    assert_absent("endpoints", "elasticsearch-logging");
    assert_member("service", "elasticsearch-logging", "spec.type", "ExternalName");
    assert_member("service", "elasticsearch-logging", "spec.externalName", "es.example.com");

    carry_out(nodes);
    assert_member("service", "elasticsearch-logging", "spec.type", "ClusterIP");
    assert_member("service", "elasticsearch-logging", "spec.clusterIP", "10.96.0.11");
    assert_member("service", "elasticsearch-logging", "spec.externalName", NULL);
}

static char *curator_job(void)
{
    const struct run run = new_run();
    static const char *const get[] = {"get", "jobs", "--namespace=kube-system", "--output=name", NULL};
    _cleanup_error_ struct error *err = NULL;
    char *output = NULL;
    must(kubectl(&run, get, NULL, &output, &err), &err);
    return output;
}

static void test_days_to_keep(void **state)
{
    (void)state;
    _cleanup_json_ json_t *cluster = load("es-server");
    set(cluster, "keep_log_days", "3");
    carry_out(cluster);
    _cleanup_free_ char *three = curator_job();
    set(cluster, "keep_log_days", "7");
    carry_out(cluster);
    _cleanup_free_ char *seven = curator_job();
    assert_true(str_starts(three, "job.batch/curator-") && str_starts(seven, "job.batch/curator-"));
    assert_string_not_equal(three, seven);
    assert_ptr_equal(strchr(seven, '\n') + 1, seven + strlen(seven));

    set(cluster, "keep_log_days", "0");
    carry_out(cluster);
    _cleanup_free_ char *none = curator_job();
    assert_string_equal(none, "");
    assert_absent("cronjob", "curator");
}

static char *checksum(const char *name)
{
    _cleanup_json_ json_t *set = object("daemonset", name);
    json_t *annotations = json_object_get(
        json_object_get(json_object_get(json_object_get(set, "spec"), "template"), "metadata"), "annotations");
    return xstrdup(json_string_value(json_object_get(annotations, "checksum/config")));
}

static void test_forward_server_restarts_fluent_bit(void **state)
{
    (void)state;
    _cleanup_json_ json_t *cluster = load("three-logs");
    set(cluster, "fluent_forward_server", "");
    carry_out(cluster);
    _cleanup_free_ char *without = checksum("fluent-bit");
    set(cluster, "fluent_forward_server", "192.168.0.99:24224");
    carry_out(cluster);
    _cleanup_free_ char *with = checksum("fluent-bit");
    assert_string_not_equal(without, with);
    set(cluster, "fluent_forward_server", "");
    carry_out(cluster);
    _cleanup_free_ char *again = checksum("fluent-bit");
    assert_string_equal(without, again);
}

/* Its pods read the API key when they start, and follow vxnets while they run. */
static void test_api_key_restarts_hostnic(void **state)
{
    (void)state;
    _cleanup_json_ json_t *cluster = load("hostnic");
    carry_out(cluster);
    _cleanup_free_ char *before = checksum("hostnic-node");
    set(cluster, "pod_vxnets", "vxnet-pods01 vxnet-pods02 vxnet-pods03");
    carry_out(cluster);
    _cleanup_free_ char *more = checksum("hostnic-node");
    assert_string_equal(before, more);
    set(cluster, "access_key_id", "ZZZZZZZZZZZZZZZZZZZZ");
    carry_out(cluster);
    _cleanup_free_ char *other = checksum("hostnic-node");
    assert_string_not_equal(before, other);
}

static void test_port_range_without_30000(void **state)
{
    (void)state;
    _cleanup_json_ json_t *cluster = load("three-logs");
    carry_out(cluster);
    assert_member("service", "prometheus", "spec.ports.0.nodePort", "30000");
    set(cluster, "cluster_port_range", "31000-32000");
    _cleanup_json_ json_t *context = context_of(cluster);
    _cleanup_free_ char *port = member(context, "monitoring.node_port");
    assert_null(port);
    carry_out(cluster);
}

static const json_t *item_of(const json_t *items, const char *kind, const char *name)
{
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach (items, i, item) {
        const char *is = json_string_value(json_object_get(json_object_get(item, "metadata"), "name"));
        if (strcmp(json_string_value(json_object_get(item, "kind")), kind) == 0 && strcmp(is, name) == 0) {
            return item;
        }
    }
    return NULL;
}

/* The API key reaches the three that need it, and is nowhere else. */
static void test_api_key(void **state)
{
    (void)state;
    static const char *const places[][2] = {
        {"qcsecret", "config.yaml"}, {"cloud-controller-manager", "client.yaml"}, {"csi-qingcloud", "config.yaml"}};
    _cleanup_json_ json_t *cluster = load("hostnic");
    const char *key = json_string_value(json_object_get(json_object_get(cluster, "env"), "secret_access_key"));
    _cleanup_manifest_ struct manifest manifest = {0};
    render("hostnic", &manifest);
    size_t holders = 0;
    for (size_t i = 0; i < manifest.n; i++) {
        holders += strstr(manifest.documents[i].text, key) != NULL;
    }
    assert_int_equal(holders, ELEMENTS(places));
    _cleanup_json_ json_t *items = dry_run(&manifest);
    for (size_t i = 0; i < ELEMENTS(places); i++) {
        const json_t *item = item_of(items, "Secret", places[i][0]);
        const char *data = json_string_value(json_object_get(json_object_get(item, "data"), places[i][1]));
        assert_non_null(data);
        _cleanup_free_ char *text = decoded(data);
        _cleanup_free_ char *line = xasprintf("qy_secret_access_key: \"%s\"\n", key);
        assert_non_null(strstr(text, line));
    }
}

/* The volumes of a workload's pods. */
static json_t *volumes_of(const json_t *items, const char *kind, const char *name)
{
    json_t *pods = json_object_get(json_object_get(item_of(items, kind, name), "spec"), "template");
    json_t *volumes = json_object_get(json_object_get(pods, "spec"), "volumes");
    assert_true(json_array_size(volumes) > 0);
    return volumes;
}

/* The release of qingcloud-csi has its pods read a ConfigMap; ours read the Secret, as nobody but root may. */
static void test_storage_reads_the_api_key_from_a_secret(void **state)
{
    (void)state;
    static const char *const pods[][2] = {{"Deployment", "csi-qingcloud-controller"},
                                          {"DaemonSet", "csi-qingcloud-node"}};
    _cleanup_manifest_ struct manifest manifest = {0};
    render("three-logs", &manifest);
    _cleanup_json_ json_t *items = dry_run(&manifest);
    for (size_t i = 0; i < ELEMENTS(pods); i++) {
        size_t secrets = 0;
        size_t j = 0;
        json_t *volume = NULL;
        json_array_foreach (volumes_of(items, pods[i][0], pods[i][1]), j, volume) {
            _cleanup_free_ char *name = member(volume, "secret.secretName");
            _cleanup_free_ char *mode = member(volume, "secret.defaultMode");
            assert_null(json_object_get(volume, "configMap"));
            if (name != NULL) {
                assert_string_equal(name, "csi-qingcloud");
                assert_string_equal(mode, "384"); /* 0600 */
                secrets++;
            }
        }
        assert_int_equal(secrets, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_api_server_takes_every_cluster),
        cmocka_unit_test(test_elasticsearch_moves),
        cmocka_unit_test(test_days_to_keep),
        cmocka_unit_test(test_forward_server_restarts_fluent_bit),
        cmocka_unit_test(test_api_key_restarts_hostnic),
        cmocka_unit_test(test_port_range_without_30000),
        cmocka_unit_test(test_api_key),
        cmocka_unit_test(test_storage_reads_the_api_key_from_a_secret),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
