#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bake/conf/image_conf.h"
#include "bake/conf/pins.h"
#include "bake/conf/versions.h"
#include "lib/core/json.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

#define KUBERNETES "kubernetes = \"v1.20.2\"\n"
#define HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static char directory[32];
static char *image; /* the directory of the shipped image.conf */

static int enter(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/bake-XXXXXX");
    return mkdtemp(directory) == NULL || chdir(directory) < 0 ? -1 : 0;
}

static int leave(void **state)
{
    (void)state;
    return chdir("/") < 0 ? -1 : tree_remove(directory, NULL);
}

static void write_text(const char *path, const char *text)
{
    const struct file_spec spec = {path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

static struct bake_conf *load(const char *text, char *const *variables)
{
    struct bake_conf *conf = NULL;
    _cleanup_error_ struct error *err = NULL;
    write_text("image.conf", text);
    if (bake_conf_load(&conf, "image.conf", variables, &err) < 0) {
        fail_msg("%s", err->message);
    }
    return conf;
}

static void expect_refused(const char *text, int status, const char *message)
{
    struct bake_conf *conf = NULL;
    _cleanup_error_ struct error *err = NULL;
    write_text("image.conf", text);
    assert_int_equal(bake_conf_load(&conf, "image.conf", NULL, &err), -1);
    assert_null(conf);
    assert_int_equal(err->status, status);
    if (strstr(err->message, message) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", message, err->message);
    }
}

static void test_everything(void **state)
{
    (void)state;
    _cleanup_(bake_conf_freep) struct bake_conf *conf =
        load(KUBERNETES "packages = {\"a\", \"b\"}\n"
                        "sysctl = {\"vm.swappiness = 1\"}\n"
                        "artifact \"helm\" {\n    url = \"https://get.helm.sh/helm.tar.gz\"\n    to = \"/opt/bin\"\n"
                        "    unpack = true\n    strip = 1\n    members = {\"linux-amd64/helm\"}\n}\n"
                        "manifest \"flannel\" { url = \"http://x/y.yml\" }\n"
                        "image \"kube-proxy\" { reference = \"k8s.gcr.io/kube-proxy:${kubernetes}\" }\n"
                        "unit \"docker.service\" { state = \"disabled\" }\nuser \"etcd\" { uid = 300 }\n",
             NULL);
    assert_string_equal(conf->packages.values[1], "b");
    assert_string_equal(conf->packages.where, "image.conf:2");
    assert_string_equal(conf->artifacts[0].where, "image.conf:5");
    assert_string_equal(conf->artifacts[0].members[0], "linux-amd64/helm");
    assert_true(conf->artifacts[0].unpack);
    assert_string_equal(conf->artifacts[1].to, "/opt/kubernetes/manifests/flannel.yaml");
    assert_string_equal(conf->artifacts[1].kind, "manifest");
    assert_string_equal(conf->images[0].reference, "k8s.gcr.io/kube-proxy:v1.20.2");
    assert_string_equal(conf->images[0].source, conf->images[0].reference);
    assert_int_equal(conf->units[0].wish, UNIT_DISABLED);
    assert_int_equal(conf->users[0].uid, 300);
}

static void test_lines_of_errors(void **state)
{
    (void)state;
    expect_refused(KUBERNETES "\npackagse = {}\n", STATUS_CONFIG, "image.conf:3: no such option 'packagse'");
    expect_refused(KUBERNETES "artifact \"x\" {\n    file = \"x\"\n}\n", STATUS_CONFIG,
                   "image.conf:3: artifact \"x\": to must be");
    expect_refused(KUBERNETES "sysctl = {\"a\"}\n", STATUS_CONFIG, "image.conf:2: sysctl \"a\"");
    expect_refused(KUBERNETES "unit \"docker\" { state = \"disabled\" }\n", STATUS_CONFIG, "image.conf:2: unit");
    expect_refused("packages = {}\n", STATUS_CONFIG, "no kubernetes");
    expect_refused("kubernetes = \"1.20\"\n", STATUS_CONFIG, "image.conf:1: kubernetes is \"1.20\"");
    write_text("part.conf", "\n\nimage \"x\" { refrence = \"y\" }\n");
    expect_refused(KUBERNETES "include(\"part.conf\")\n", STATUS_CONFIG, "part.conf:3: no such option 'refrence'");
    expect_refused(KUBERNETES "include(\"absent.conf\")\n", STATUS_CONFIG, "absent.conf");
}

static void test_variables(void **state)
{
    (void)state;
    char *variables[] = {"dir=/there", NULL};
    const char *text = KUBERNETES "artifact \"x\" {\n    file = \"${dir}/x${suffix:-.bin}\"\n    to = \"/x\"\n}\n";
    _cleanup_(bake_conf_freep) struct bake_conf *conf = load(text, variables);
    assert_string_equal(conf->artifacts[0].file, "/there/x.bin");
    expect_refused(text, STATUS_CONFIG, "image.conf:3: ${dir} has no value: give --set dir=VALUE");
    expect_refused(KUBERNETES "# ${dir}\nsuite = \"${dir}\"\n", STATUS_CONFIG, "image.conf:3: ${dir}");
    char *wrong[] = {"dir", NULL};
    struct bake_conf *none = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(bake_conf_load(&none, "image.conf", wrong, &err), -1);
    assert_int_equal(err->status, STATUS_USAGE);
}

static void test_environment_has_no_part(void **state)
{
    (void)state;
    (void)setenv("HOME", "/root", 1);
    expect_refused(KUBERNETES "suite = \"${HOME}\"\n", STATUS_CONFIG, "${HOME} has no value");
}

static void test_paths_are_beside_their_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir("sub", 0755), 0);
    write_text("sub/part.conf", "overlay = {\"overlay\", \"/abs\"}\n");
    _cleanup_(bake_conf_freep) struct bake_conf *conf = load(KUBERNETES "include(\"sub/part.conf\")\n", NULL);
    assert_string_equal(conf->overlay.values[0], "sub/overlay");
    assert_string_equal(conf->overlay.values[1], "/abs");
}

static void test_later_wins_and_left_out(void **state)
{
    (void)state;
    write_text("part.conf", "artifact \"x\" {\n    url = \"https://a/x\"\n    to = \"/x\"\n}\n"
                            "artifact \"y\" {\n    url = \"https://a/y\"\n    to = \"/y\"\n}\n"
                            "image \"z\" { reference = \"h/z:1\" }\n");
    _cleanup_(bake_conf_freep) struct bake_conf *conf =
        load(KUBERNETES "include(\"part.conf\")\nleave-out = {\"artifact y\", \"image *\"}\n"
                        "artifact \"x\" {\n    file = \"f\"\n    built = true\n    to = \"/x\"\n}\n",
             NULL);
    assert_int_equal(conf->n_artifacts, 1);
    assert_null(conf->artifacts[0].url);
    assert_string_equal(conf->artifacts[0].file, "f");
    assert_int_equal(conf->n_images, 1); /* named still, not put in */
    assert_false(conf->images[0].preload);
}

static void test_wrong_artifacts(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "to = \"/x\"",
        "url = \"https://a/x\" file = \"x\" to = \"/x\"",
        "url = \"ftp://a/x\" to = \"/x\"",
        "url = \"https://a/x\" built = true to = \"/x\"",
        "url = \"https://a/x\" sha256 = \"abc\" to = \"/x\"",
        "url = \"https://a/x\" to = \"x\"",
        "url = \"https://a/x\" to = \"/x/\"",
        "url = \"https://a/x\" to = \"/x\" strip = 1",
        "url = \"https://a/x\" to = \"/x\" mode = \"rwx\"",
        "command = {\"a\"} to = \"/x\" built = true",
    };
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        _cleanup_free_ char *text = xasprintf(KUBERNETES "artifact \"n\" { %s }\n", wrong[i]);
        expect_refused(text, STATUS_CONFIG, "image.conf:2: artifact \"n\"");
    }
    expect_refused(KUBERNETES "artifact \"../n\" { url = \"https://a/x\" to = \"/x\" }\n", STATUS_CONFIG,
                   "the name may");
}

static void test_versions(void **state)
{
    (void)state;
    static const struct {
        const char *version, *api, *runtime;
    } rows[] = {
        {"v1.20.2", "v1beta2", "dockershim"},  {"v1.21.14", "v1beta2", "dockershim"},
        {"v1.22.0", "v1beta3", "dockershim"},  {"v1.23.17", "v1beta3", "dockershim"},
        {"v1.24.0", "v1beta3", "cri-dockerd"}, {"v1.31.1", "v1beta4", "cri-dockerd"},
    };
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        assert_string_equal(kubeadm_api(rows[i].version), rows[i].api);
        assert_string_equal(container_runtime(rows[i].version), rows[i].runtime);
        assert_int_equal(strstr(cri_socket(rows[i].version), "cri-dockerd") != NULL,
                         strcmp(rows[i].runtime, "cri-dockerd") == 0);
    }
    _cleanup_(bake_conf_freep) struct bake_conf *conf =
        load(KUBERNETES "image \"fluent-bit\" { reference = \"docker.io/fluent/fluent-bit:1.8.15\" }\n", NULL);
    _cleanup_json_ json_t *versions = versions_json(conf);
    assert_string_equal(json_text(versions, "kubernetes"), "v1.20.2");
    assert_string_equal(json_text(json_object_get(versions, "images"), "fluent_bit"),
                        "docker.io/fluent/fluent-bit:1.8.15");
}

static void test_lock(void **state)
{
    (void)state;
    _cleanup_json_ json_t *lock = NULL;
    _cleanup_json_ json_t *again = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(lock_load("image.lock", &lock, NULL), 0);
    assert_null(lock_sha256(lock, "https://a/1"));
    lock_set_sha256(lock, "https://a/1", HASH);
    lock_set_digest(lock, "r/pause:3.2", "sha256:" HASH);
    assert_int_equal(lock_save("image.lock", lock, NULL), 0);
    assert_int_equal(lock_load("image.lock", &again, NULL), 0);
    assert_string_equal(lock_sha256(again, "https://a/1"), HASH);
    assert_string_equal(lock_digest(again, "r/pause:3.2"), "sha256:" HASH);
    assert_null(lock_sha256(again, "https://a/2")); /* another version has no pin yet */
    write_text("image.lock", "{\n\"artifacts\": {},\n}\n");
    json_decref(STEAL(again));
    assert_int_equal(lock_load("image.lock", &again, &err), -1);
    assert_non_null(strstr(err->message, "image.lock:3"));
}

static void expect_hex(const char *pin)
{
    assert_int_equal(strlen(pin), 64);
    assert_int_equal(strspn(pin, "0123456789abcdef"), 64);
}

/* Removes from LEFT the pins of exactly what the file names. VARIABLES as of --set. */
static void remove_used_pins(const char *file, char *const *variables, const json_t *lock, json_t *left)
{
    struct bake_conf *conf = NULL;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *path = path_join(image, file);
    if (bake_conf_load(&conf, path, variables, &err) < 0) {
        fail_msg("%s", err->message);
    }
    for (size_t i = 0; i < conf->n_artifacts; i++) {
        const struct artifact *a = &conf->artifacts[i];
        const char *pin = a->url != NULL ? lock_sha256(lock, a->url) : NULL;
        if (pin != NULL) {
            expect_hex(pin);
            json_object_del(json_object_get(left, "artifacts"), a->url);
        }
    }
    for (size_t i = 0; i < conf->n_images; i++) {
        const char *pin = lock_digest(lock, conf->images[i].source);
        if (pin != NULL) {
            assert_true(str_starts(pin, "sha256:"));
            expect_hex(pin + strlen("sha256:"));
            json_object_del(json_object_get(left, "images"), conf->images[i].source);
        }
    }
    bake_conf_free(conf);
}

/* A pin for another version, or for what is no longer there, would be passed over in silence. */
static void test_shipped_lock(void **state)
{
    (void)state;
    _cleanup_json_ json_t *lock = NULL;
    _cleanup_free_ char *path = path_join(image, "image.lock");
    _cleanup_free_ char *shipped = NULL;
    _cleanup_free_ char *saved = NULL;
    assert_int_equal(lock_load(path, &lock, NULL), 0);
    _cleanup_json_ json_t *left = json_deep_copy(lock);
    char *latest[] = {(char *)"kubernetes=v1.20.15", NULL}; /* the one that docs/image.md takes */
    remove_used_pins("image.conf", NULL, lock, left);
    remove_used_pins("release.conf", NULL, lock, left);
    remove_used_pins("release.conf", latest, lock, left);
    remove_used_pins("cri-dockerd.conf", NULL, lock, left);
    _cleanup_free_ char *unused = json_dumps(left, JSON_SORT_KEYS);
    assert_string_equal(unused, "{\"artifacts\": {}, \"images\": {}}");
    assert_int_equal(lock_save("image.lock", lock, NULL), 0);
    assert_int_equal(file_read(path, 0, &shipped, NULL, NULL), 0);
    assert_int_equal(file_read("image.lock", 0, &saved, NULL, NULL), 0);
    assert_string_equal(shipped, saved);
}

int main(void)
{
    image = realpath("image", NULL);
    /* Reading a configuration empties the environment, where cmocka would look for its output format. */
    if (getenv("CMOCKA_MESSAGE_OUTPUT") != NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everything, enter, leave),
        cmocka_unit_test_setup_teardown(test_lines_of_errors, enter, leave),
        cmocka_unit_test_setup_teardown(test_variables, enter, leave),
        cmocka_unit_test_setup_teardown(test_environment_has_no_part, enter, leave),
        cmocka_unit_test_setup_teardown(test_paths_are_beside_their_file, enter, leave),
        cmocka_unit_test_setup_teardown(test_later_wins_and_left_out, enter, leave),
        cmocka_unit_test_setup_teardown(test_wrong_artifacts, enter, leave),
        cmocka_unit_test_setup_teardown(test_versions, enter, leave),
        cmocka_unit_test_setup_teardown(test_lock, enter, leave),
        cmocka_unit_test_setup_teardown(test_shipped_lock, enter, leave),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    free(image);
    return result;
}
