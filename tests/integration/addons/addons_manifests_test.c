/* What the shipped add-ons are rendered to for each whole cluster of tests/golden, given to a real API server. */
#include <yaml.h>

#include "lib/core/json.h"
#include "lib/crypto/crypto.h"
#include "tests/integration/addons/manifests_fixture.h"

static const char *const clusters[] = {
    "scaling-out", "smallest", "three-logs",    "elk-link",  "es-server",  "etcd-link",        "hostnic",
    "istio",       "hostile",  "hundred-nodes", "ssd-nodes", "scaling-in", "private-registry", "insecure-registries"};

static void check_yaml(const char *name, const char *text)
{
    yaml_parser_t parser;
    yaml_document_t document;
    assert_int_equal(yaml_parser_initialize(&parser), 1);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (yaml_parser_load(&parser, &document) != 1) {
        fail_msg("%s is not YAML at line %zu: %s", name, parser.problem_mark.line + 1, parser.problem);
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
            fail_msg("%s is not JSON: %s", name, text);
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
        bool secret = strcmp(json_text(item, "kind"), "Secret") == 0;
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

static const json_t *item_of(const json_t *items, const char *kind, const char *name)
{
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach (items, i, item) {
        const char *is = json_text(json_object_get(item, "metadata"), "name");
        if (strcmp(json_text(item, "kind"), kind) == 0 && strcmp(is, name) == 0) {
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
    const char *key = json_text(json_object_get(cluster, "env"), "secret_access_key");
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
        const char *data = json_text(json_object_get(item, "data"), places[i][1]);
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
        cmocka_unit_test(test_api_key),
        cmocka_unit_test(test_storage_reads_the_api_key_from_a_secret),
    };
    return releases_there() ? cmocka_run_group_tests(tests, set_up, tear_down) : 0;
}
