#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

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

static void a_null_error_pointer_is_accepted(void **state)
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

static void moving_keeps_the_error_and_empties_the_source(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_error_ struct error *from = NULL;
    error_new(&from, STATUS_UNIT, "inner");
    struct error *same = from;
    assert_int_equal(error_move(&err, &from), -1);
    assert_ptr_equal(err, same);
    assert_null(from);

    assert_int_equal(error_move(&err, &from), -1); /* nothing to move: what is there stays */
    assert_ptr_equal(err, same);

    error_new(&from, STATUS_FILE, "not wanted");
    assert_int_equal(error_move(NULL, &from), -1);
    assert_null(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_status_and_message),   cmocka_unit_test(names_the_errno),
        cmocka_unit_test(wrapping_keeps_the_status),  cmocka_unit_test(a_null_error_pointer_is_accepted),
        cmocka_unit_test(freeing_resets_the_pointer), cmocka_unit_test(moving_keeps_the_error_and_empties_the_source),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
