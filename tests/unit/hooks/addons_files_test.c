/* What `render` shows and writes of add-ons, with add-ons of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/addons/addons_files.h"
#include "hooks/files/files.h"
#include "lib/core/logger.h"
#include "lib/system/tree.h"
#include "tests/lab/shared/cluster.h"

#define KEPT "root/state/addons/"

static char directory[32];
static char root[64], roles[64], templates[64], opt[64];
static char *skip[] = {NULL, NULL};
static struct conf conf = {.paths = {.opt = opt, .roles = roles, .templates = templates},
                           .addons = {.enabled = true, .skip = skip}};
static const struct role master = {.name = "master", .state = "/state", .kubelet = true, .control_plane = true};
static const struct role node = {.name = "node", .state = "/state"};
static struct run run;

static const char addons_conf[] = "addon \"plain\" { templates = {\"plain.mustache\"} }\n"
                                  "addon \"key\" { templates = {\"key.mustache\"} }\n"
                                  "addon \"release\" { upstream = {\"release.yaml\"} when = {\"addons.istio\"} }\n";

static const char plain[] = "apiVersion: v1\n"
                            "kind: ConfigMap\n"
                            "metadata: {name: one, namespace: kube-system}\n"
                            "data: {days: \"{{logging.keep_days}}\"}\n"
                            "---\n"
                            "apiVersion: v1\n"
                            "kind: Namespace\n"
                            "metadata: {name: two}\n";

static const char key[] = "apiVersion: v1\n"
                          "kind: Secret\n"
                          "metadata: {name: key, namespace: kube-system}\n"
                          "stringData:\n"
                          "  a: \"{{cloud.secret_access_key}}\"\n"
                          "  b: \"{{cloud.access_key_id}}\"\n";

static const char release[] = "{apiVersion: v1, kind: Namespace, metadata: {name: release}}\n";

static void put(const char *name, const char *text)
{
    _cleanup_free_ char *path = path_join(directory, name);
    const struct file_spec spec = {path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

static bool there(const char *name)
{
    _cleanup_free_ char *path = path_join(directory, name);
    return access(path, F_OK) == 0;
}

static int enter(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/addons-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(root, sizeof root, "%s/root", directory);
    (void)snprintf(roles, sizeof roles, "%s/roles", directory);
    (void)snprintf(templates, sizeof templates, "%s/templates", directory);
    (void)snprintf(opt, sizeof opt, "%s/opt", directory);
    put("roles/addons.conf", addons_conf);
    put("templates/plain.mustache", plain);
    put("templates/key.mustache", key);
    put("opt/versions.json", "{\"kubernetes\": \"v1.20.2\", \"images\": {\"a\": \"b\"}}");
    put("opt/manifests/release.yaml", release);
    skip[0] = NULL;
    conf.addons.enabled = true;
    _cleanup_json_ json_t *cluster = cluster_load("three-logs", NULL);
    _cleanup_json_ json_t *view = cluster_view(cluster, "master", 1);
    run = (struct run){.role = &master, .event = "render", .conf = &conf, .root = root};
    log_open("test", NULL, NULL, LOG_LEVEL_ERROR);
    return facts_load(&run.facts, view, &conf, NULL);
}

static int leave(void **state)
{
    (void)state;
    facts_free(run.facts);
    return tree_remove(directory, NULL);
}

static size_t write_all(void)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_rendered_addons_ struct rendered_addons addons = {0};
    size_t changed = 0;
    if (addons_files_render(&run, true, &addons, &err) < 0 || addons_files_write(&run, &addons, &changed, &err) < 0) {
        fail_msg("%s", err->message);
    }
    return changed;
}

/* What a preview prints of CHANGED add-ons. */
static char *printed(size_t changed)
{
    _cleanup_free_ char *path = path_join(directory, "stdout");
    _cleanup_rendered_addons_ struct rendered_addons addons = {0};
    assert_int_equal(addons_files_render(&run, true, &addons, NULL), 0);
    (void)fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_non_null(freopen(path, "w", stdout));
    size_t n = 0;
    int result = addons_files_preview(&run, &addons, &n, NULL);
    (void)fflush(stdout);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    close(saved);
    assert_int_equal(result, 0);
    assert_int_equal(n, changed);
    char *text = NULL;
    assert_int_equal(file_read(path, 0, &text, NULL, NULL), 0);
    return text;
}

static void expect_printed(size_t changed, const char *expected)
{
    _cleanup_free_ char *text = printed(changed);
    assert_string_equal(text, expected);
}

static void manifests_are_written_for_root_alone(void **state)
{
    (void)state;
    assert_int_equal(write_all(), 2);
    struct stat st;
    _cleanup_free_ char *path = path_join(directory, KEPT "key.yaml");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_false(there(KEPT "release.yaml"));
    expect_printed(0, "");
    assert_int_equal(write_all(), 0);
}

static void each_changed_object_has_its_difference(void **state)
{
    (void)state;
    (void)write_all();
    run.facts->parameters.keep_log_days = 7;
    expect_printed(1, "--- add-on plain: ConfigMap kube-system/one\n"
                      "+++ add-on plain: ConfigMap kube-system/one\n"
                      "@@ -1,4 +1,4 @@\n"
                      " apiVersion: v1\n"
                      " kind: ConfigMap\n"
                      " metadata: {annotations: {k8s-hooks/add-on: plain}, name: one, namespace: kube-system}\n"
                      "-data: {days: \"0\"}\n"
                      "+data: {days: \"7\"}\n");
}

static void a_changed_secret_is_reported_without_its_content(void **state)
{
    (void)state;
    static const char other[] = "abcdefghijabcdefghijabcdefghijabcdefghij";
    _cleanup_free_ char *before = xstrdup(run.facts->parameters.secret_access_key);
    _cleanup_free_ char *id = xstrdup(run.facts->parameters.access_key_id);
    _cleanup_free_ char *new = printed(2);
    assert_non_null(strstr(new, "add-on key: Secret kube-system/key: changed, not shown because it is secret (6 lines "
                                "added, 0 removed)\n"));
    assert_null(strstr(new, before));
    assert_null(strstr(new, id));
    (void)write_all();
    free(run.facts->parameters.secret_access_key);
    run.facts->parameters.secret_access_key = xstrdup(other);
    expect_printed(1, "add-on key: Secret kube-system/key: changed, not shown because it is secret (1 lines added, 1 "
                      "removed)\n");
}

static void deleted_objects_are_shown_and_removed(void **state)
{
    (void)state;
    run.facts->parameters.enable_istio = true;
    assert_int_equal(write_all(), 3);
    run.facts->parameters.enable_istio = false;
    put(KEPT "former.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: former}}\n");
    expect_printed(2, "--- add-on release: Namespace release\n"
                      "+++ /dev/null\n"
                      "@@ -1 +0,0 @@\n"
                      "-{apiVersion: v1, kind: Namespace, metadata: {annotations: {k8s-hooks/add-on: release}, name: "
                      "release}}\n"
                      "--- add-on former: Namespace former\n"
                      "+++ /dev/null\n"
                      "@@ -1 +0,0 @@\n"
                      "-{apiVersion: v1, kind: Namespace, metadata: {name: former}}\n");
    (void)write_all();
    assert_false(there(KEPT "release.yaml"));
    skip[0] = (char *)"plain";
    _cleanup_free_ char *text = printed(2);
    assert_non_null(strstr(text, "-metadata: {annotations: {k8s-hooks/add-on: plain}, name: two}\n"));
}

static void a_damaged_kept_manifest_counts_as_absent(void **state)
{
    (void)state;
    (void)write_all();
    put(KEPT "plain.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: two}}\n---\nkind: [\n");
    _cleanup_free_ char *text = printed(1);
    assert_non_null(strstr(text, "--- /dev/null\n+++ add-on plain: ConfigMap kube-system/one\n"));
    assert_non_null(strstr(text, "--- /dev/null\n+++ add-on plain: Namespace two\n"));
}

static void without_an_image_what_it_brings_is_left_out(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_rendered_addons_ struct rendered_addons addons = {0};
    _cleanup_free_ char *manifest = path_join(opt, "manifests/release.yaml");
    run.facts->parameters.enable_istio = true;
    assert_int_equal(unlink(manifest), 0);
    assert_int_equal(write_all(), 2);
    assert_false(there(KEPT "release.yaml"));
    assert_int_equal(addons_files_render(&run, false, &addons, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
    assert_true(str_starts(err->message, "add-on release: the image brought no release manifest release.yaml"));
    json_object_clear(run.facts->versions);
    put(KEPT "plain.yaml", "kept\n");
    assert_int_equal(write_all(), 0);
}

static void no_other_role_has_add_ons(void **state)
{
    (void)state;
    _cleanup_rendered_addons_ struct rendered_addons addons = {0};
    run.role = &node;
    assert_int_equal(addons_files_render(&run, true, &addons, NULL), 0);
    assert_int_equal(addons.n, 0);
    run.role = &master;
    conf.addons.enabled = false;
    assert_int_equal(addons_files_render(&run, true, &addons, NULL), 0);
    assert_int_equal(addons.n, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(manifests_are_written_for_root_alone),
        TEST(each_changed_object_has_its_difference),
        TEST(a_changed_secret_is_reported_without_its_content),
        TEST(deleted_objects_are_shown_and_removed),
        TEST(a_damaged_kept_manifest_counts_as_absent),
        TEST(without_an_image_what_it_brings_is_left_out),
        TEST(no_other_role_has_add_ons),
    };
    return cmocka_run_group_tests_name("addons files", tests, NULL, NULL);
}
