#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/metadata/meta.h"
#include "app/metadata/meta_tree.h"
#include "lib/core/json.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

static char directory[] = "/tmp/meta_test.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return proc_exec(deadline_in(300000), NULL, "rm", "-rf", directory, NULL);
}

static char *write_text(const char *name, const char *text, mode_t mode)
{
    char *path = xasprintf("%s/%s", directory, name);
    struct file_spec spec = {
        .path = path, .data = text, .len = strlen(text), .mode = mode, .uid = geteuid(), .gid = getegid()};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
    return path;
}

static void a_tree_is_objects_with_string_leaves(void **state)
{
    (void)state;
    static const char text[] = "{\"env\":{\"max_pods\":\"60\",\"empty\":\"\"},\"none\":{}}";
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_tree_parse(text, strlen(text), &tree, NULL), 0);
    assert_string_equal(json_text(json_object_get(tree, "env"), "max_pods"), "60");
}

static void a_text_that_is_not_a_tree_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "the JSON ends too early, at line 1 column 0"},
        {"{\"env\":{\"max_pods\":\"6", "the JSON ends too early, at line 1 column 21"},
        {"{\"env\":", "the JSON ends too early, at line 1 column 7"},
        {"<html>", "not JSON: wrong at line 1 column 1"},
        {"Not found", "not JSON: wrong at line 1 column 3"},
        {"{} {}", "not JSON: wrong at line 1 column 4"},
        {"{\"a\":\"1\",\"a\":\"2\"}", "not JSON: wrong at line 1 column 12"},
        {"{\"a\":\"\xff\"}", "not JSON: wrong at line 1 column 6"},
        {"[]", "expected a JSON object, got a list"},
        {"{\"env\":{\"max_pods\":60}}", "/env/max_pods is a number; every leaf must be a string"},
        {"{\"env\":{\"x\":1.5}}", "/env/x is a number; every leaf must be a string"},
        {"{\"a\":{\"b\":{\"c\":null}}}", "/a/b/c is null; every leaf must be a string"},
        {"{\"a\":\"x\",\"b\":true}", "/b is true or false; every leaf must be a string"},
        {"{\"hosts\":[\"10.0.0.1\"]}", "/hosts is a list; every leaf must be a string"},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        json_t *tree = NULL;
        _cleanup_error_ struct error *err = NULL;
        assert_int_equal(meta_tree_parse(cases[i].text, strlen(cases[i].text), &tree, &err), -1);
        assert_null(tree);
        assert_int_equal(err->status, STATUS_METADATA_INVALID);
        assert_string_equal(err->message, cases[i].message);
    }
}

static void a_file_holds_the_tree_or_self(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"env\":{\"a\":\"1\"}}", "{\"self\":{\"env\":{\"a\":\"1\"}}}\n"};
    const struct conf conf = {0};
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        _cleanup_free_ char *path = write_text("tree.json", texts[i], 0644);
        _cleanup_(meta_freep) struct meta *meta = NULL;
        _cleanup_json_ json_t *tree = NULL;
        assert_int_equal(meta_open(&meta, &conf, path, NULL), 0);
        assert_int_equal(meta_get(meta, deadline_in(0), &tree, NULL), 0);
        assert_non_null(json_object_get(json_object_get(tree, "env"), "a"));
        _cleanup_error_ struct error *err = NULL;
        json_t *later = NULL;
        assert_int_equal(meta_wait(meta, deadline_in(30000), &later, &err), -1);
        assert_int_equal(err->status, STATUS_DEADLINE);
    }
}

static void a_wrong_file_is_named(void **state)
{
    (void)state;
    _cleanup_free_ char *path = write_text("wrong.json", "{\"self\":{\"env\":{\"a\":1}}}", 0644);
    _cleanup_free_ char *absent = xasprintf("%s/absent.json", directory);
    json_t *tree = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(meta_tree_load(path, &tree, &err), -1);
    assert_int_equal(err->status, STATUS_METADATA_INVALID);
    assert_non_null(strstr(err->message, path));
    error_freep(&err);
    _cleanup_free_ char *empty = write_text("empty.json", "", 0644);
    assert_int_equal(meta_tree_load(empty, &tree, &err), -1);
    assert_int_equal(err->status, STATUS_METADATA_INVALID);
    error_freep(&err);
    assert_int_equal(meta_tree_load(absent, &tree, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
    assert_non_null(strstr(err->message, absent));
}

static void the_private_copy_comes_back_and_is_0600(void **state)
{
    (void)state;
    _cleanup_free_ char *path = xasprintf("%s/state/metadata.json", directory);
    _cleanup_json_ json_t *tree = json_pack("{s:{s:s}}", "env", "secret_access_key", "k");
    assert_int_equal(meta_tree_save_private(path, tree, NULL), 0);
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    _cleanup_json_ json_t *back = NULL;
    assert_int_equal(meta_tree_load_private(path, &back, NULL), 0);
    assert_true(json_equal(tree, back));
}

static void a_copy_others_could_have_written_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0644, 0620, 0602, 0640};
    _cleanup_free_ char *path = write_text("cache.json", "{\"self\":{\"env\":{\"a\":\"1\"}}}", 0600);
    _cleanup_json_ json_t *good = NULL;
    assert_int_equal(meta_tree_load_private(path, &good, NULL), 0);
    for (size_t i = 0; i < ELEMENTS(modes); i++) {
        json_t *tree = NULL;
        _cleanup_error_ struct error *err = NULL;
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(meta_tree_load_private(path, &tree, &err), -1);
        assert_int_equal(err->status, STATUS_METADATA_UNREACHABLE);
    }
    assert_int_equal(chmod(path, 0600), 0);
    _cleanup_free_ char *linked = xasprintf("%s/link.json", directory);
    assert_int_equal(symlink(path, linked), 0);
    json_t *tree = NULL;
    assert_int_equal(meta_tree_load_private(linked, &tree, NULL), -1);
}

static void a_damaged_copy_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{\"self\":{\"env\":", "[]", "{\"self\":{\"env\":{\"a\":1}}}"};
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        _cleanup_free_ char *path = write_text("spoiled.json", texts[i], 0600);
        json_t *tree = NULL;
        _cleanup_error_ struct error *err = NULL;
        assert_int_equal(meta_tree_load_private(path, &tree, &err), -1);
        assert_int_equal(err->status, STATUS_METADATA_UNREACHABLE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_is_objects_with_string_leaves),
        cmocka_unit_test(a_text_that_is_not_a_tree_is_refused),
        cmocka_unit_test(a_file_holds_the_tree_or_self),
        cmocka_unit_test(a_wrong_file_is_named),
        cmocka_unit_test(the_private_copy_comes_back_and_is_0600),
        cmocka_unit_test(a_copy_others_could_have_written_is_refused),
        cmocka_unit_test(a_damaged_copy_is_refused),
    };
    return cmocka_run_group_tests_name("meta", tests, set_up, tear_down);
}
