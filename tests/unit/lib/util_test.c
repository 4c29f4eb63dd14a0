#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/util.h"

static void a_buffer_grows_and_stays_terminated(void **state)
{
    (void)state;
    _cleanup_buffer_ struct buffer b = {0};
    for (int i = 0; i < 1000; i++) {
        buffer_printf(&b, "%d,", i);
        assert_int_equal(b.data[b.len], '\0');
    }
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_true(str_ends(b.data, "998,999,"));
}

static void a_buffer_holds_nul_and_nothing(void **state)
{
    (void)state;
    _cleanup_buffer_ struct buffer b = {0};
    buffer_append(&b, "", 0);
    assert_non_null(b.data);
    assert_int_equal(b.len, 0);
    buffer_append(&b, "a\0b", 3);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "a\0b", 4);
}

static void a_buffer_takes_a_block_larger_than_itself(void **state)
{
    (void)state;
    _cleanup_buffer_ struct buffer b = {0};
    _cleanup_free_ char *block = xcalloc(100000, 1);
    memset(block, 'x', 100000);
    buffer_puts(&b, "1");
    buffer_append(&b, block, 100000);
    assert_int_equal(b.len, 100001);
    assert_int_equal(b.data[100000], 'x');
}

static void vectors_copy_and_find(void **state)
{
    (void)state;
    _cleanup_strv_ char **v = NULL;
    char word[] = "one";
    assert_int_equal(strv_length(v), 0);
    assert_false(strv_contains(v, "one"));
    strv_push(&v, word);
    strv_push(&v, "two");
    word[0] = 'x';
    assert_int_equal(strv_length(v), 2);
    assert_true(strv_contains(v, "one"));
    assert_false(strv_contains(v, "on"));
    assert_null(v[2]);
}

static void splitting_is_at_runs_of_blanks(void **state)
{
    (void)state;
    static const struct {
        const char *text, *first;
        size_t count;
    } cases[] = {{"", NULL, 0},       {" \t\n", NULL, 0},      {"a", "a", 1},
                 {"  a b  ", "a", 2}, {"a\tb\nc\r\n", "a", 3}, {"\xc3\xa9 x", "\xc3\xa9", 2}};
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_strv_ char **v = strv_split(cases[i].text);
        assert_int_equal(strv_length(v), cases[i].count);
        if (cases[i].first != NULL) {
            assert_string_equal(v[0], cases[i].first);
        }
    }
}

static void prefixes_and_suffixes_are_recognised(void **state)
{
    (void)state;
    assert_true(str_starts("abc", "ab") && str_starts("abc", "") && str_starts("", ""));
    assert_false(str_starts("ab", "abc") || str_starts("xab", "ab"));
    assert_true(str_ends("abc", "bc") && str_ends("abc", "") && str_ends("", ""));
    assert_false(str_ends("bc", "abc") || str_ends("abcx", "bc"));
    assert_true(str_empty(NULL) && str_empty(""));
    assert_false(str_empty(" "));
}

static void numbers_are_decimal_digits_in_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {{"0", true},    {"65535", true},
                 {"007", true},  {"65536", false},
                 {"", false},    {" 1", false},
                 {"1 ", false},  {"+1", false},
                 {"-1", false},  {"0x1", false},
                 {"1e1", false}, {NULL, false},
                 {"1.0", false}, {"99999999999999999999", false}};
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        long value = -7;
        assert_int_equal(str_number(cases[i].text, 0, 65535, &value), cases[i].valid);
        assert_int_equal(value, cases[i].valid ? strtol(cases[i].text, NULL, 10) : -7);
    }
}

static void deadlines_pass_and_compare(void **state)
{
    (void)state;
    assert_int_equal(deadline_left(deadline_in(0)), 0);
    assert_int_equal(deadline_left(deadline_in(-5)), 0);
    assert_true(deadline_left(deadline_in(100000)) > 0);
    assert_true(deadline_left(deadline_in(100000)) <= 100000);
    assert_true(deadline_left(deadline_never()) > INT64_MAX / 2);
    struct deadline soon = deadline_in(10);
    assert_int_equal(deadline_earlier(soon, deadline_never()).at, soon.at);
    assert_int_equal(deadline_earlier(deadline_never(), soon).at, soon.at);
}

static void closing_keeps_errno(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    errno = EXDEV;
    int copy = fd;
    util_closep(&copy);
    assert_int_equal(errno, EXDEV);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    copy = -1;
    util_closep(&copy);
}

static void taking_a_value_out_leaves_null(void **state)
{
    (void)state;
    _cleanup_free_ char *a = xstrdup("x");
    char *before = a;
    _cleanup_free_ char *b = STEAL(a);
    assert_null(a);
    assert_ptr_equal(b, before);
    assert_null(xstrdup(a));
}

static void assert_time(int64_t seconds, enum time_form form, const char *expected)
{
    _cleanup_free_ char *text = time_text(seconds, form);
    assert_string_equal(text, expected);
}

static void times_have_a_text_whatever_they_are(void **state)
{
    (void)state;
    assert_time(0, TIME_SECOND, "1970-01-01 00:00:00Z");
    assert_time(1795620600, TIME_DATE, "2026-11-25");
    assert_time(1795620600, TIME_COMPACT, "20261125T153000Z");
    assert_time(-86400, TIME_DATE, "1969-12-31");
    assert_time(253402300799, TIME_SECOND, "9999-12-31 23:59:59Z");
    assert_time(253402300800, TIME_SECOND, "@253402300800");
    assert_time(INT64_MAX, TIME_SECOND, "@9223372036854775807");
    assert_time(INT64_MIN, TIME_COMPACT, "@-9223372036854775808");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_have_a_text_whatever_they_are),
        cmocka_unit_test(a_buffer_grows_and_stays_terminated),
        cmocka_unit_test(a_buffer_holds_nul_and_nothing),
        cmocka_unit_test(a_buffer_takes_a_block_larger_than_itself),
        cmocka_unit_test(vectors_copy_and_find),
        cmocka_unit_test(splitting_is_at_runs_of_blanks),
        cmocka_unit_test(prefixes_and_suffixes_are_recognised),
        cmocka_unit_test(numbers_are_decimal_digits_in_range),
        cmocka_unit_test(deadlines_pass_and_compare),
        cmocka_unit_test(closing_keeps_errno),
        cmocka_unit_test(taking_a_value_out_leaves_null),
    };
    return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
