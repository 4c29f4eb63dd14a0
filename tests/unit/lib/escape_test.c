#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/text/mustache.h"

static void expect(enum format format, const char *value, const char *written)
{
    _cleanup_buffer_ struct buffer out = {0};
    assert_int_equal(format_escape(format, value, &out, NULL), 0);
    assert_string_equal(out.data, written);
}

static void refuse(enum format format, const char *value, const char *why)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(format_escape(format, value, &out, &err), -1);
    assert_int_equal(err->status, STATUS_TEMPLATE);
    assert_non_null(strstr(err->message, why));
    assert_int_equal(out.len, 0);
}

static void formats_have_names(void **state)
{
    (void)state;
    enum format format = FORMAT_PLAIN;
    assert_true(format_by_name("ini", &format));
    assert_int_equal(format, FORMAT_INI);
    assert_true(format_by_name("html", &format));
    assert_int_equal(format, FORMAT_HTML);
    assert_false(format_by_name("toml", &format));
    assert_false(format_by_name("", &format));
}

static void plain_changes_nothing(void **state)
{
    (void)state;
    expect(FORMAT_PLAIN, "<&>\"'\\$`%\n\x01", "<&>\"'\\$`%\n\x01");
}

static void html_writes_entities(void **state)
{
    (void)state;
    expect(FORMAT_HTML, "a<b>&\"'&amp;", "a&lt;b&gt;&amp;&quot;'&amp;amp;");
}

static void quoted_texts_are_read_back_by_a_parser(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        "plain",
        "\"\\/\b\f\n\r\t",
        "\x01\x1f\x7f",
        "é\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf漢😀",
        "\\u00e9",
        "a\": {\"b\": 1}, \"c\": \"",
    };
    for (size_t i = 0; i < ELEMENTS(values); i++) {
        _cleanup_buffer_ struct buffer out = {0};
        buffer_puts(&out, "\"");
        assert_int_equal(format_escape(FORMAT_JSON, values[i], &out, NULL), 0);
        buffer_puts(&out, "\"");
        _cleanup_json_ json_t *back = json_loads(out.data, JSON_DECODE_ANY, NULL);
        assert_non_null(back);
        assert_string_equal(json_string_value(back), values[i]);
    }
}

static void yaml_hides_what_its_readers_take_for_line_breaks(void **state)
{
    (void)state;
    expect(FORMAT_YAML, "a\nb", "a\\nb");
    expect(FORMAT_YAML, "\xc2\x85|\xe2\x80\xa8|\xe2\x80\xa9|\xef\xbb\xbf|\x7f",
           "\\u0085|\\u2028|\\u2029|\\ufeff|\\u007f");
    expect(FORMAT_YAML, "ü漢😀", "ü漢😀");
    expect(FORMAT_YAML, "\xe2\x80", "\xe2\x80");
}

static void env_stays_inside_its_double_quotes(void **state)
{
    (void)state;
    expect(FORMAT_ENV, "a b'c#", "a b'c#");
    expect(FORMAT_ENV, "\"; $(x) `y` \\", "\\\"; \\$(x) \\`y\\` \\\\");
    refuse(FORMAT_ENV, "a\nb", "0x0a");
    refuse(FORMAT_ENV, "\x7f", "0x7f");
}

static void ini_stays_on_its_line(void **state)
{
    (void)state;
    expect(FORMAT_INI, "", "");
    expect(FORMAT_INI, "50% a;b#c \\ d", "50%% a;b#c \\ d");
    refuse(FORMAT_INI, "a\n[b]", "0x0a");
    refuse(FORMAT_INI, "a\r", "0x0d");
    refuse(FORMAT_INI, "a ;b", "comment");
    refuse(FORMAT_INI, "#b", "comment");
    refuse(FORMAT_INI, "a\\", "continues");
    refuse(FORMAT_INI, " a", "blank");
    refuse(FORMAT_INI, "a ", "blank");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_have_names),
        cmocka_unit_test(plain_changes_nothing),
        cmocka_unit_test(html_writes_entities),
        cmocka_unit_test(quoted_texts_are_read_back_by_a_parser),
        cmocka_unit_test(yaml_hides_what_its_readers_take_for_line_breaks),
        cmocka_unit_test(env_stays_inside_its_double_quotes),
        cmocka_unit_test(ini_stays_on_its_line),
    };
    return cmocka_run_group_tests_name("escape", tests, NULL, NULL);
}
