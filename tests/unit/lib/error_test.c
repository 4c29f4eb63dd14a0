#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/core/error.h"

static void holds_status_and_message(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(error_new(&err, STATUS_FILE, "reading %s", "/x"), -1);
    assert_int_equal(err->status, STATUS_FILE);
    assert_string_equal(err->message, "reading /x");
}

static void names_the_errno(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(error_errno(&err, STATUS_FILE, ENOENT, "reading %s", "/x"), -1);
    assert_string_equal(err->message, "reading /x: No such file or directory");
}

static void wrapping_keeps_the_status(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    error_new(&err, STATUS_UNIT, "inner");
    assert_int_equal(error_wrap(&err, "outer %d", 1), -1);
    assert_int_equal(error_wrap(&err, "outermost"), -1);
    assert_int_equal(err->status, STATUS_UNIT);
    assert_string_equal(err->message, "outermost: outer 1: inner");
}

static void a_caller_may_not_care(void **state)
{
    (void)state;
    struct error *none = NULL;
    assert_int_equal(error_new(NULL, STATUS_FILE, "x"), -1);
    assert_int_equal(error_errno(NULL, STATUS_FILE, EIO, "x"), -1);
    assert_int_equal(error_wrap(NULL, "x"), -1);
    assert_int_equal(error_wrap(&none, "x"), -1);
    assert_null(none);
}

static void freeing_resets_the_pointer(void **state)
{
    (void)state;
    struct error *err = NULL;
    error_new(&err, STATUS_FILE, "x");
    error_freep(&err);
    assert_null(err);
    error_freep(&err);
}

static void the_status_table_is_in_order_and_whole(void **state)
{
    (void)state;
    int before = -1;
    for (const struct status_row *row = status_rows; row->name != NULL; row++) {
        assert_true((int)row->status > before);
        assert_true((int)row->status < 256);
        before = (int)row->status;
        assert_true(strlen(row->english) > 0 && strlen(row->chinese) > 0 && strlen(row->remedy) > 0);
        assert_ptr_equal(status_row(row->status), row);
    }
}

static void an_unknown_status_is_a_failure(void **state)
{
    (void)state;
    assert_int_equal(status_row((enum status)99)->status, STATUS_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_status_and_message),       cmocka_unit_test(names_the_errno),
        cmocka_unit_test(wrapping_keeps_the_status),      cmocka_unit_test(a_caller_may_not_care),
        cmocka_unit_test(freeing_resets_the_pointer),     cmocka_unit_test(the_status_table_is_in_order_and_whole),
        cmocka_unit_test(an_unknown_status_is_a_failure),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
