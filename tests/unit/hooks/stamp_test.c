#include "hooks/engine/stamp.h"

#include "tests/unit/hooks/engine_fixture.h"

static void a_stamp_matches_only_its_value(void **state)
{
    (void)state;
    assert_false(stamp_same(&run, "images", "v1"));
    assert_int_equal(stamp_put(&run, "images", "v1", NULL), 0);
    assert_true(stamp_same(&run, "images", "v1"));
    assert_false(stamp_same(&run, "images", "v"));
    assert_false(stamp_same(&run, "images", "v12"));
    assert_false(stamp_same(&run, "other", "v1"));
    assert_int_equal(stamp_put(&run, "images", "v2", NULL), 0);
    assert_false(stamp_same(&run, "images", "v1"));
    assert_int_equal(stamp_remove(&run, "images", NULL), 0);
    assert_int_equal(stamp_remove(&run, "images", NULL), 0);
    assert_false(stamp_same(&run, "images", "v2"));
}

static void an_unreadable_or_unwritable_stamp_does_not_count(void **state)
{
    (void)state;
    _cleanup_free_ char *path = run_state_path(&run, "stamps/images");
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(dir_make(path, 0700, NULL), 0);
    assert_false(stamp_same(&run, "images", ""));
    assert_int_equal(stamp_put(&run, "images", "v1", &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
}

static void files_count_by_content_and_place(void **state)
{
    (void)state;
    _cleanup_free_ char *a = xasprintf("%s/a", directory);
    _cleanup_free_ char *b = xasprintf("%s/b", directory);
    assert_int_equal(file_put_private(a, "x", NULL), 0);
    _cleanup_free_ char *one = stamp_of_files(&run, a, b, NULL);
    _cleanup_free_ char *other_order = stamp_of_files(&run, b, a, NULL);
    assert_string_not_equal(one, other_order);
    /* an absent file counts as an empty one */
    assert_int_equal(file_put_private(b, "", NULL), 0);
    _cleanup_free_ char *empty = stamp_of_files(&run, a, b, NULL);
    assert_string_equal(one, empty);
    assert_int_equal(file_put_private(b, "x", NULL), 0);
    _cleanup_free_ char *both = stamp_of_files(&run, a, b, NULL);
    assert_string_not_equal(one, both);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stamp_matches_only_its_value),
        TEST(an_unreadable_or_unwritable_stamp_does_not_count),
        TEST(files_count_by_content_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
