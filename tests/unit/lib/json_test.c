#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/core/json.h"
#include "lib/core/util.h"

static void a_string_is_found_at_its_key(void **state)
{
    (void)state;
    _cleanup_json_ json_t *object = json_pack("{s:s, s:i, s:{s:{s:s}}}", "a", "x", "n", 1, "b", "c", "d", "deep");
    assert_string_equal(json_text(object, "a"), "x");
    assert_string_equal(json_text_or(object, "a", "otherwise"), "x");
    assert_string_equal(json_text_at(object, "a", NULL), "x");
    assert_string_equal(json_text_at(object, "b", "c", "d", NULL), "deep");
}

static void other_types_and_absent_values_hold_no_string(void **state)
{
    (void)state;
    _cleanup_json_ json_t *object = json_pack("{s:s, s:i, s:{s:s}}", "a", "x", "n", 1, "b", "c", "y");
    assert_null(json_text(object, "n"));
    assert_null(json_text(object, "absent"));
    assert_null(json_text(NULL, "a"));
    assert_string_equal(json_text_or(object, "n", "otherwise"), "otherwise");
    assert_string_equal(json_text_or(NULL, "n", ""), "");
    assert_null(json_text_at(object, "b", NULL));
    assert_null(json_text_at(object, "b", "c", "d", NULL));
    assert_null(json_text_at(object, "a", "c", NULL));
    assert_null(json_text_at(NULL, "a", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_is_found_at_its_key),
        cmocka_unit_test(other_types_and_absent_values_hold_no_string),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
