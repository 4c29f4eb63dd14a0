/* The lab's command line: its table of verbs, ROLE=N, tables of text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <string.h>

#include "tests/lab/lab/faults/fault.h"
#include "tests/lab/lab/form/form.h"
#include "tests/lab/lab/verbs/counts.h"
#include "tests/lab/lab/verbs/table.h"
#include "tests/lab/lab/verbs/verb.h"

static void test_verbs(void **state)
{
    (void)state;
    for (const struct verb *verb = verbs; verb->name != NULL; verb++) {
        assert_non_null(verb->run);
        assert_ptr_equal(verb_find(verb->name), verb);
        if (strlen(verb->summary) > 60) {
            fail_msg("%s: its summary does not fit --help", verb->name);
        }
    }
    assert_null(verb_find("frob"));
}

static void test_faults(void **state)
{
    (void)state;
    for (const struct fault_kind *kind = fault_kinds; kind->name != NULL; kind++) {
        assert_ptr_equal(fault_kind(kind->name), kind);
        assert_non_null(kind->begin);
        assert_true(kind->once ? kind->end == NULL : kind->end != NULL);
        assert_int_equal(kind->on_machine, str_starts(kind->arguments, "MACHINE"));
    }
    assert_null(fault_kind("earthquake"));
}

static int count_of(const struct role_count *counts, const char *role)
{
    for (; counts->role != NULL; counts++) {
        if (strcmp(counts->role, role) == 0) {
            return counts->count;
        }
    }
    return 0;
}

static void test_counts(void **state)
{
    (void)state;
    _cleanup_json_ json_t *config = NULL;
    _cleanup_json_ json_t *values = json_object();
    char *const words[] = {(char *)"master=1", (char *)"ssd_node=3", NULL};
    assert_int_equal(form_load(LAB_APP, &config, NULL), 0);
    /* the form's own defaults */
    _cleanup_free_ struct role_count *usual = counts_of(config, values);
    assert_int_equal(count_of(usual, "node"), 2);
    assert_int_equal(count_of(usual, "ssd_node"), 0);
    /* a role that is not named gets none */
    assert_int_equal(counts_enter(config, words, values, NULL), 0);
    _cleanup_free_ struct role_count *counts = counts_of(config, values);
    assert_int_equal(count_of(counts, "master"), 1);
    assert_int_equal(count_of(counts, "ssd_node"), 3);
    assert_int_equal(count_of(counts, "node"), 0);
    assert_int_equal(count_of(counts, "client"), 0);
}

static void test_wrong_counts(void **state)
{
    (void)state;
    _cleanup_json_ json_t *config = NULL;
    assert_int_equal(form_load(LAB_APP, &config, NULL), 0);
    const char *const wrong[] = {"node",  "node=",     "node=-1", "node=101",    "node=1x",
                                 "nod=1", "cluster=1", "=1",      "node.count=1"};
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        _cleanup_error_ struct error *err = NULL;
        char *const words[] = {(char *)"master=1", (char *)wrong[i], NULL};
        assert_null(counts_parse(config, words, &err));
        assert_int_equal(err->status, STATUS_USAGE);
        assert_non_null(strstr(err->message, wrong[i]));
    }
}

/* WORDS behind VERB, arranged, with blanks between; the caller frees. */
static char *arranged(const char *verb, const char *words)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_strv_ char **argv = strv_split(words);
    _cleanup_buffer_ struct buffer all = {0};
    buffer_puts(&all, "");
    if (arrange_options(verb_find(verb), argv, &err) != 0) {
        return xstrdup(err->message);
    }
    for (char **word = argv; *word != NULL; word++) {
        buffer_printf(&all, "%s%s", word == argv ? "" : " ", *word);
    }
    return xstrdup(all.data);
}

static void test_options(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"health", "node-1 --rounds 2 --interval 1", "--interval 1 --rounds 2 node-1"},
        {"create", "master=1 --set a=b node=1 --package /p --set c=d --unchecked",
         "--package /p --set a=b --set c=d --unchecked master=1 node=1"},
        {"logs", "node-1 init -f", "-f node-1 init"},
        {"fault", "clock-off node-1 -3h --for 5", "--for 5 clock-off node-1 -3h"},
        {"metadata", "--as --text", "--as --text"},
        {"events", "-n", "-n"},
        {"status", "--watched", "'--watched' is not an option of lab status: `lab status --help` has them"},
        {"health", "--interval=1", "'--interval=1' is not an option of lab health: `lab health --help` has them"},
        {"exec", "node-1 ls --all", "node-1 ls --all"},
        {"set", "kube_log_level --x", "kube_log_level --x"},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_free_ char *found = arranged(cases[i][0], cases[i][1]);
        assert_string_equal(found, cases[i][2]);
    }
}

static void test_table(void **state)
{
    (void)state;
    _cleanup_table_ struct table table = {0};
    const char *const rows[][3] = {{"A", "B", "C"}, {"完成", NULL, "x"}, {"long one", "b\nb", ""}};
    char *text = NULL;
    size_t len = 0;
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        table_row(&table, 3, rows[i]);
    }
    FILE *to = open_memstream(&text, &len);
    table_print(&table, to);
    (void)fclose(to);
    assert_string_equal(text, "A         B    C\n"
                              "完成      -    x\n"
                              "long one  b b  -\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verbs),        cmocka_unit_test(test_faults), cmocka_unit_test(test_counts),
        cmocka_unit_test(test_wrong_counts), cmocka_unit_test(test_table),  cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
