#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/system/file.h"

static void expect(const char *before, const char *after, const char *expected)
{
    _cleanup_free_ char *diff = text_diff("f", before, after);
    assert_non_null(diff);
    assert_string_equal(diff, expected);
}

static void equal_texts_have_no_diff(void **state)
{
    (void)state;
    assert_null(text_diff("f", "a\nb\n", "a\nb\n"));
    assert_null(text_diff("f", "", ""));
    assert_null(text_diff("f", NULL, NULL));
}

static void a_file_that_comes_or_goes(void **state)
{
    (void)state;
    expect(NULL, "a\nb\n", "--- /dev/null\n+++ f\n@@ -0,0 +1,2 @@\n+a\n+b\n");
    expect("a\n", NULL, "--- f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
    expect("", "a\n", "--- f\n+++ f\n@@ -0,0 +1 @@\n+a\n");
}

static void changes_have_three_lines_around(void **state)
{
    (void)state;
    expect("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n",
           "--- f\n+++ f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
}

static void near_changes_share_a_hunk_and_far_ones_do_not(void **state)
{
    (void)state;
    expect("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
           "--- f\n+++ f\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
    expect("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
           "--- f\n+++ f\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n");
}

static void a_missing_last_newline_is_shown(void **state)
{
    (void)state;
    expect("a\nb", "a\nb\n", "--- f\n+++ f\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n");
    expect("a\n", "b", "--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n");
}

/* The text on one side of a diff that has all lines of both, which short texts have. */
static char *side_of(const char *diff, char sign)
{
    struct buffer side = {0};
    buffer_puts(&side, "");
    const char *line = strstr(diff, "@@ -");
    for (; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (*line == ' ' || *line == sign) {
            buffer_append(&side, line + 1, strcspn(line, "\n"));
        }
    }
    return side.data;
}

static void add_lines(struct buffer *text, unsigned long *seed)
{
    static const char *const lines[] = {"a\n", "b\n", "c\n"};
    buffer_puts(text, "");
    do {
        *seed = *seed * 6364136223846793005UL + 1442695040888963407UL;
        buffer_puts(text, lines[(*seed >> 33) % 3]);
    } while ((*seed >> 40) % 8 != 0 && text->len < 40);
}

/* Pseudo-random texts of few distinct lines, with a change at either end so that no line is left out. */
static void both_texts_come_out_of_the_diff(void **state)
{
    (void)state;
    unsigned long seed = 1;
    for (int round = 0; round < 1000; round++) {
        _cleanup_buffer_ struct buffer a = {0};
        _cleanup_buffer_ struct buffer b = {0};
        buffer_puts(&a, "old\n");
        buffer_puts(&b, "new\n");
        for (int i = 0; i < 2; i++) {
            add_lines(&a, &seed);
            add_lines(&b, &seed);
            buffer_puts(&a, "old\n");
            buffer_puts(&b, "new\n");
        }
        _cleanup_free_ char *diff = text_diff("f", a.data, b.data);
        if (strstr(strstr(diff, "@@ -") + 1, "\n@@ -") != NULL) {
            continue;
        }
        _cleanup_free_ char *before = side_of(diff, '-');
        _cleanup_free_ char *after = side_of(diff, '+');
        assert_string_equal(before, a.data);
        assert_string_equal(after, b.data);
    }
}

/* Past the bound of the search everything between the common ends is shown as replaced. */
static void texts_far_apart_are_replaced(void **state)
{
    (void)state;
    _cleanup_buffer_ struct buffer a = {0};
    _cleanup_buffer_ struct buffer b = {0};
    buffer_puts(&a, "first\n");
    buffer_puts(&b, "first\n");
    for (int i = 0; i < 3000; i++) {
        buffer_printf(&a, "a%d\n", i);
        buffer_printf(&b, "b%d\n", i);
    }
    _cleanup_free_ char *diff = text_diff("f", a.data, b.data);
    assert_true(str_starts(diff, "--- f\n+++ f\n@@ -1,3001 +1,3001 @@\n first\n-a0\n-a1\n"));
    assert_true(str_ends(diff, "+b2998\n+b2999\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_have_no_diff),
        cmocka_unit_test(a_file_that_comes_or_goes),
        cmocka_unit_test(changes_have_three_lines_around),
        cmocka_unit_test(near_changes_share_a_hunk_and_far_ones_do_not),
        cmocka_unit_test(a_missing_last_newline_is_shown),
        cmocka_unit_test(both_texts_come_out_of_the_diff),
        cmocka_unit_test(texts_far_apart_are_replaced),
    };
    return cmocka_run_group_tests_name("diff", tests, NULL, NULL);
}
