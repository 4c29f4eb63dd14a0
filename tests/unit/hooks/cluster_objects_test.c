/* What becomes of an error of kubectl, with a program in its place that fails or answers as kubectl does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "hooks/addons/cluster_objects.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

static char directory[32];
static char opt[64];
static struct conf conf = {.paths = {.opt = opt}};
static struct run run = {.conf = &conf, .root = ""};

static void put_kubectl(const char *text)
{
    _cleanup_free_ char *bin = path_join(opt, "bin");
    _cleanup_free_ char *path = path_join(opt, "bin/kubectl");
    const struct file_spec spec = {
        .path = path, .data = text, .len = strlen(text), .mode = 0755, .uid = (uid_t)-1, .gid = (gid_t)-1};
    assert_int_equal(dir_make(bin, 0755, NULL), 0);
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

static int set_up(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/objects.XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(opt, sizeof opt, "%s/opt", directory);
    run.deadline = deadline_in(120000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return tree_remove(directory, NULL);
}

static const char failing[] = "#!/bin/sh\necho 'error: connection refused' >&2\nexit 1\n";
static const char unknown_kind[] =
    "#!/bin/sh\n"
    "if grep -q '\"Pool\".*\"Pod\"'; then e='no matches for kind \"Pool\"'; else e=other; fi\n"
    "echo \"error: $e\" >&2\nexit 1\n";
static const char immutable[] = "#!/bin/sh\n"
                                "if [ \"$(grep -c '^kind')\" = 2 ]; then e='field is immutable'; else e=other; fi\n"
                                "echo \"error: $e\" >&2\nexit 1\n";
static const char two[] = "kind: Pod\napiVersion: v1\nmetadata: {name: a, namespace: x}\n"
                          "---\n"
                          "kind: Pod\napiVersion: v1\nmetadata: {name: b, namespace: x}\n";

static void a_failure_is_passed_on(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *keys = json_pack("[s, s]", "v1 Pod x a", "v1 Pool x b");
    put_kubectl(failing);
    assert_int_equal(objects_delete(&run, keys, &err), -1);
    assert_int_equal(err->status, STATUS_COMMAND);
    assert_non_null(strstr(err->message, "connection refused"));
}

/* error.h allows it to every function */
static void a_null_error_pointer_is_accepted_on_failure(void **state)
{
    (void)state;
    _cleanup_json_ json_t *keys = json_pack("[s, s]", "v1 Pod x a", "v1 Pool x b");
    _cleanup_manifest_ struct manifest manifest = {0};
    assert_int_equal(manifest_add(&manifest, "test", two, NULL), 0);
    manifest_sort(&manifest);
    static const char *const programs[] = {failing, unknown_kind, immutable};
    for (size_t i = 0; i < ELEMENTS(programs); i++) {
        put_kubectl(programs[i]);
        assert_int_equal(objects_delete(&run, keys, NULL), -1);
        assert_int_equal(manifest_apply(&run, &manifest, NULL, NULL), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_failure_is_passed_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_null_error_pointer_is_accepted_on_failure, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("cluster objects", tests, NULL, NULL);
}
