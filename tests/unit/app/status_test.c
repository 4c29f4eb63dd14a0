#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/status.h"

static void the_status_table_is_in_order_and_whole(void **state)
{
    (void)state;
    int before = -1;
    for (const struct status_row *row = status_rows; row->name != NULL; row++) {
        assert_true(row->status > before);
        assert_true(row->status < 256);
        before = row->status;
        assert_true(strlen(row->english) > 0 && strlen(row->chinese) > 0 && strlen(row->remedy) > 0);
        assert_ptr_equal(status_row(row->status), row);
    }
}

static void an_unknown_status_has_the_text_of_a_failure(void **state)
{
    (void)state;
    assert_int_equal(status_row(99)->status, STATUS_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_status_table_is_in_order_and_whole),
        cmocka_unit_test(an_unknown_status_has_the_text_of_a_failure),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
