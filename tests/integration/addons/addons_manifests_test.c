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

/* Takes those documents away whose very text is in SEEN: the API server has taken them. */
static void drop_seen(struct manifest *manifest, json_t *seen)
{
    struct manifest fresh = {.documents = xcalloc(manifest->n, sizeof *fresh.documents)};
    struct manifest dropped = {.documents = xcalloc(manifest->n, sizeof *dropped.documents)};
    for (size_t i = 0; i < manifest->n; i++) {
        const char *text = manifest->documents[i].text;
        struct manifest *place = json_object_get(seen, text) == NULL ? &fresh : &dropped;
        place->documents[place->n++] = manifest->documents[i];
        json_object_set_new(seen, text, json_true());
    }
    free(manifest->documents);
    manifest_free(&dropped);
    *manifest = fresh;
}

static void test_api_server_takes_every_cluster(void **state)
{
    (void)state;
    _cleanup_json_ json_t *seen = json_object();
    for (size_t i = 0; i < ELEMENTS(clusters); i++) {
        _cleanup_manifest_ struct manifest manifest = {0};
        render(clusters[i], &manifest);
        drop_seen(&manifest, seen);
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

static const char *const snapshot_kinds[][3] = {{"volumesnapshotclasses", "VolumeSnapshotClass", "Cluster"},
                                                {"volumesnapshotcontents", "VolumeSnapshotContent", "Cluster"},
                                                {"volumesnapshots", "VolumeSnapshot", "Namespaced"}};

/* As csi-snapshotter v1.2.2 makes its definitions, and a class as its users have one. */
static void make_v1alpha1(void)
{
    static const char *const create[] = {"create", "--filename=-", NULL};
    static const char *const established[] = {
        "wait", "--for=condition=Established", "--timeout=300s", "customresourcedefinition", "--all", NULL};
    const struct run run = new_run();
    _cleanup_error_ struct error *err = NULL;
    for (size_t i = 0; i < ELEMENTS(snapshot_kinds); i++) {
        _cleanup_free_ char *definition = xasprintf(
            "---\n{apiVersion: apiextensions.k8s.io/v1beta1, kind: CustomResourceDefinition, metadata: {name: "
            "%s.snapshot.storage.k8s.io}, spec: {group: snapshot.storage.k8s.io, version: v1alpha1, scope: %s, names: "
            "{plural: %s, kind: %s}}}",
            snapshot_kinds[i][0], snapshot_kinds[i][2], snapshot_kinds[i][0], snapshot_kinds[i][1]);
        must(kubectl(&run, create, definition, NULL, &err), &err);
    }
    must(kubectl(&run, established, NULL, NULL, &err), &err);
    must(
        kubectl(&run, create,
                "---\n{apiVersion: snapshot.storage.k8s.io/v1alpha1, kind: VolumeSnapshotClass, metadata: {name: old}, "
                "snapshotter: disk.csi.qingcloud.com}\n"
                "---\n{apiVersion: snapshot.storage.k8s.io/v1alpha1, kind: VolumeSnapshot, metadata: {name: old, "
                "finalizers: [snapshot.storage.kubernetes.io/volumesnapshot-protection]}, "
                "spec: {snapshotClassName: old, source: {kind: PersistentVolumeClaim, name: data}}}",
                NULL, &err),
        &err);
}

/* What user-guide.md says of a snapshot of v1alpha1 that is in the way. */
static void delete_v1alpha1(const struct run *run)
{
    static const char *const unprotect[] = {"patch",        "volumesnapshots.v1alpha1.snapshot.storage.k8s.io", "old",
                                            "--type=merge", "--patch={\"metadata\": {\"finalizers\": null}}",   NULL};
    static const char *const delete[] = {"delete", "volumesnapshot", "old", "--timeout=300s", NULL};
    _cleanup_error_ struct error *err = NULL;
    must(kubectl(run, unprotect, NULL, NULL, &err), &err);
    must(kubectl(run, delete, NULL, NULL, &err), &err);
}

/* A cluster of a former version has v1alpha1 in storedVersions: the definitions of today are accepted over those. */
static void test_snapshots_follow_v1alpha1(void **state)
{
    static const char *const classes[] = {"get", "volumesnapshotclasses.v1.snapshot.storage.k8s.io", "--output=name",
                                          NULL};
    static const char *const apply[] = {"apply", "--filename=-", NULL};
    const struct run run = new_run();
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *output = NULL;
    _cleanup_manifest_ struct manifest manifest = {0};
    (void)state;
    make_v1alpha1();
    render("ssd-nodes", &manifest);
    json_decref(dry_run(&manifest));
    must(kubectl(&run, classes, NULL, &output, &err), &err);
    assert_string_equal(output, "volumesnapshotclass.snapshot.storage.k8s.io/old\n");
    must(kubectl(&run, apply,
                 "---\n{apiVersion: snapshot.storage.k8s.io/v1, kind: VolumeSnapshot, metadata: {name: new}, spec: "
                 "{volumeSnapshotClassName: new, source: {persistentVolumeClaimName: data}}}",
                 NULL, &err),
         &err);
    assert_int_equal(
        kubectl(&run, apply,
                "---\n{apiVersion: snapshot.storage.k8s.io/v1, kind: VolumeSnapshot, metadata: {name: wrong}, "
                "spec: {source: {kind: PersistentVolumeClaim, name: data}}}",
                NULL, &err),
        -1);
    assert_non_null(strstr(err->message, "spec.source"));
    delete_v1alpha1(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshots_follow_v1alpha1), /* first: before there are definitions */
        cmocka_unit_test(test_api_server_takes_every_cluster),
        cmocka_unit_test(test_api_key),
        cmocka_unit_test(test_storage_reads_the_api_key_from_a_secret),
    };
    return releases_there() ? cmocka_run_group_tests(tests, set_up, tear_down) : 0;
}
