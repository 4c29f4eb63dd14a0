#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/core/util.h"
#include "lib/text/utf8.h"

static void assert_text(const char *text, size_t most, const char *expected)
{
    _cleanup_free_ char *got = utf8_text(text, most);
    assert_string_equal(got, expected);
}

static void text_that_fits_stays(void **state)
{
    (void)state;
    assert_text("", 10, "");
    assert_text("plain", 5, "plain");
    assert_text("元数据服务器无响应", 27, "元数据服务器无响应");
    assert_text("é€𝄞", 9, "é€𝄞");
}

static void long_text_is_cut_between_characters(void **state)
{
    (void)state;
    assert_text("plain text", 8, "plain...");
    assert_text("元数据服务器", 17, "元数据服...");
    assert_text("元数据服务器", 16, "元数据服...");
    assert_text("元数据服务器", 14, "元数据...");
    assert_text("abcd", 3, "...");
}

static void bytes_that_are_not_utf8_become_question_marks(void **state)
{
    (void)state;
    assert_text("a\xff"
                "b",
                10, "a?b");
    assert_text("\xe5\x85", 10, "??");          /* the beginning of one */
    assert_text("\x83\xe5\x85\x83", 10, "?元"); /* the end of another */
    assert_text("\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80", 20, "?????????");
}

/* NOLINTBEGIN(cert-msc30-c,cert-msc32-c,cert-msc50-cpp,cert-msc51-cpp): the same texts in every run */
/* jansson refuses anything else */
static void every_result_can_be_json(void **state)
{
    (void)state;
    srand(1);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        size_t len = (size_t)rand() % (sizeof text - 1);
        for (size_t j = 0; j < len; j++) {
            static const unsigned char likely[] = {0x80, 0xBF, 0xC2, 0xE0, 0xE5, 0xED, 0xF0, 0xF4, 'a', 0x90};
            text[j] = (char)(rand() % 2 == 0 ? likely[(size_t)rand() % ELEMENTS(likely)] : 1 + rand() % 255);
        }
        text[len] = '\0';
        size_t most = 3 + (size_t)rand() % 61;
        _cleanup_free_ char *got = utf8_text(text, most);
        _cleanup_json_ json_t *value = json_string(got);
        assert_non_null(value);
        assert_true(strlen(got) <= most);
    }
}
/* NOLINTEND(cert-msc30-c,cert-msc32-c,cert-msc50-cpp,cert-msc51-cpp) */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_fits_stays),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(bytes_that_are_not_utf8_become_question_marks),
        cmocka_unit_test(every_result_can_be_json),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
