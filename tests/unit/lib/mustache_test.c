#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "lib/system/file.h"
#include "lib/system/tree.h"
#include "lib/text/mustache.h"

struct rule {
    const char *template, *context, *expected;
};

/* Renders below a directory of partials: pairs of name and text, NULL-terminated. */
static int render_with(const char *const *partials, struct mustache_options options, const char *template,
                       const char *context, struct buffer *out, struct error **err)
{
    char directory[] = "/tmp/mustache-XXXXXX";
    assert_non_null(mkdtemp(directory));
    for (; partials != NULL && *partials != NULL; partials += 2) {
        _cleanup_free_ char *name = xasprintf("%s.mustache", partials[0]);
        _cleanup_free_ char *path = path_join(directory, name);
        const struct file_spec spec = {path, partials[1], strlen(partials[1]), 0600, (uid_t)-1, (gid_t)-1};
        assert_int_equal(file_put(&spec, NULL, NULL), 0);
        options.partials = directory;
    }
    _cleanup_json_ json_t *json = json_loads(context, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    int result = mustache_render("t", template, strlen(template), json, &options, out, err);
    assert_int_equal(tree_remove(directory, NULL), 0);
    return result;
}

static void expect_with(const char *const *partials, enum format format, const struct rule *rule)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_error_ struct error *err = NULL;
    if (render_with(partials, (struct mustache_options){.format = format}, rule->template, rule->context, &out, &err) <
        0) {
        fail_msg("%s: %s", rule->template, err->message);
    }
    assert_string_equal(out.data, rule->expected);
}

static void expect_all(const struct rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        expect_with(NULL, FORMAT_HTML, &rules[i]);
    }
}

static void expect_error(struct mustache_options options, const char *template, const char *message)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_error_ struct error *err = NULL;
    buffer_puts(&out, "kept");
    assert_int_equal(
        render_with(NULL, options, template, "{\"a\":1,\"list\":[1],\"object\":{\"b\":\"x\\ny\"}}", &out, &err), -1);
    assert_int_equal(err->status, STATUS_TEMPLATE);
    if (strstr(err->message, message) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", err->message, message);
    }
    assert_string_equal(out.data, "kept");
}

static void names_are_looked_up(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {"no tag { } {", "{}", "no tag { } {"},
        {"", "{}", ""},
        {"{{a}}{{ a }}{{\ta\n}}", "{\"a\":\"x\"}", "xxx"},
        {"[{{absent}}]", "{}", "[]"},
        {"{{a.b.c}}", "{\"a\":{\"b\":{\"c\":\"deep\"}}}", "deep"},
        {"[{{a.b.c}}]", "{\"a\":{}}", "[]"},
        {"[{{a.b}}]", "{\"a.b\":\"one key\"}", "[]"},
        {"[{{a.b}}]", "{\"a\":\"text\"}", "[]"},
        {"{{#a}}[{{b.c}}]{{/a}}", "{\"a\":{\"b\":{}},\"b\":{\"c\":\"outer\"}}", "[]"},
        {"{{#a}}{{b}}{{c}}{{/a}}", "{\"a\":{\"b\":1},\"b\":2,\"c\":3}", "13"},
        {"{{.}}", "\"root\"", "root"},
        {"{{a}}", "{\"a\":\"{{b}}\",\"b\":1}", "{{b}}"},
        {"{{größe}}", "{\"größe\":\"ü\"}", "ü"},
    };
    expect_all(rules, ELEMENTS(rules));
}

static void values_are_written_as_they_are(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {"{{.}}", "85", "85"},
        {"{{.}}", "-9007199254740993", "-9007199254740993"},
        {"{{.}}", "1.21", "1.21"},
        {"{{.}}", "0.1", "0.1"},
        {"{{.}}", "1.0", "1.0"},
        {"{{.}}", "1e300", "1e+300"},
        {"{{.}}", "true", "true"},
        {"{{.}}", "false", "false"},
        {"[{{.}}]", "null", "[]"},
        {"{{{.}}}", "[1,\"a\"]", "[1,\"a\"]"},
        {"{{.}}", "\"<&>\\\"'\"", "&lt;&amp;&gt;&quot;'"},
        {"{{{.}}}{{&.}}{{& . }}{{{ . }}}", "\"<\"", "<<<<"},
    };
    expect_all(rules, ELEMENTS(rules));
}

static void sections_repeat_or_vanish(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {"[{{#a}}x{{/a}}{{^a}}y{{/a}}]", "{\"a\":true}", "[x]"},
        {"[{{#a}}x{{/a}}{{^a}}y{{/a}}]", "{\"a\":false}", "[y]"},
        {"[{{#a}}x{{/a}}{{^a}}y{{/a}}]", "{\"a\":null}", "[y]"},
        {"[{{#a}}x{{/a}}{{^a}}y{{/a}}]", "{\"a\":[]}", "[y]"},
        {"[{{#a}}x{{/a}}{{^a}}y{{/a}}]", "{\"a\":\"\"}", "[y]"},
        {"[{{#a}}x{{/a}}{{^a}}y{{/a}}]", "{\"a\":0}", "[y]"},
        {"[{{#a}}x{{/a}}{{^a}}y{{/a}}]", "{\"a\":{}}", "[x]"},
        {"[{{#a}}x{{/a}}{{^a}}y{{/a}}]", "{}", "[y]"},
        {"{{#a}}{{n}},{{/a}}", "{\"a\":[{\"n\":1},{\"n\":2}]}", "1,2,"},
        {"{{#a}}({{.}}){{/a}}", "{\"a\":[\"<\",1.5,true]}", "(&lt;)(1.5)(true)"},
        {"{{#a}}({{#.}}{{.}}{{/.}}){{/a}}", "{\"a\":[[1,2],[3]]}", "(12)(3)"},
        {"{{#a}}{{.}} is {{a}}{{/a}}", "{\"a\":\"x\"}", "x is x"},
        {"{{#.}}{{n}}{{/.}}", "[{\"n\":1},{\"n\":2}]", "12"},
        {"{{#a.b}}x{{/a.b}}{{^a.c}}y{{/a.c}}", "{\"a\":{\"b\":1}}", "xy"},
        {"{{#a}}1{{#a}}2{{/a}}3{{/a}}", "{\"a\":true}", "123"},
        {"{{# a }}x{{/ a }}", "{\"a\":true}", "x"},
    };
    expect_all(rules, ELEMENTS(rules));
}

static void a_tag_alone_takes_its_line(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {"a\n{{! c }}\nb", "{}", "a\nb"},
        {"a\n \t{{! c }} \t\nb", "{}", "a\nb"},
        {"a\r\n{{! c }}\r\nb", "{}", "a\r\nb"},
        {"  {{! c }}\nb", "{}", "b"},
        {"a\n  {{! c }}", "{}", "a\n"},
        {"a\n{{!\nc\n}}\nb", "{}", "a\nb"},
        {" a {{! c }}\n", "{}", " a \n"},
        {"{{! c }} a\n", "{}", " a\n"},
        {"{{#a}}\nx\n{{/a}}\ny\n", "{\"a\":[1,2]}", "x\nx\ny\n"},
        {" {{#a}}x{{/a}}\n", "{\"a\":1}", " x\n"},
        {"{{a}}\n", "{\"a\":1}", "1\n"},
        {"{{! c }}{{! d }}\nx", "{}", "\nx"},
        {"  {{=<% %>=}}\n<%a%>", "{\"a\":1}", "1"},
        {"{{#a}}\r\n{{/a}}\r\n|", "{\"a\":1}", "|"},
        {"a\n{{! c }}\rb", "{}", "a\n\rb"},
    };
    expect_all(rules, ELEMENTS(rules));
}

static void delimiters_change(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {"{{=<% %>=}}<%a%>{{a}}<%={{ }}=%>{{a}}", "{\"a\":1}", "1{{a}}1"},
        {"{{= | | =}}|a||&a||{a}|", "{\"a\":\"<\"}", "&lt;<<"},
        {"{{=@   @=}}@#a@x@/a@", "{\"a\":1}", "x"},
        {"{{#a}}{{=| |=}}|/a||a|", "{\"a\":1}", "1"},
    };
    expect_all(rules, ELEMENTS(rules));
}

static void partials_are_filled_in(void **state)
{
    (void)state;
    static const char *const partials[] = {
        "p",     "{{a}}\n{{#on}}\n+\n{{/on}}\n\nend\n",
        "inner", "1\n2\n",
        "outer", "(\n  {{>inner}}\n)\n",
        "mixed", "{{#on}}x{{/on}}|{{>inner}}|\n",
        "node",  "{{n}}{{#next}}<{{>node}}>{{/next}}",
        "delim", "{{=| |=}}|a|",
        "tag",   "{{a}}",
        NULL,
    };
    static const struct rule rules[] = {
        {"[{{>tag}}{{> tag }}]", "{\"a\":1}", "[11]"},
        {"[{{>absent}}]", "{}", "[]"},
        {"{{>delim}}{{a}}", "{\"a\":1}", "11"},
        {"  {{>p}}\n.", "{\"a\":\"x\\ny\",\"on\":true}", "  x\ny\n  +\n  \n  end\n."},
        {"\t{{>outer}}\n", "{}", "\t(\n\t  1\n\t  2\n\t)\n"},
        {"  {{>mixed}}\n", "{\"on\":1}", "  x|1\n2\n|\n"},
        {" . {{>inner}}\n", "{}", " . 1\n2\n\n"},
        {"{{>node}}", "{\"n\":1,\"next\":{\"n\":2,\"next\":false}}", "1<2>"},
        {"{{#a}}{{>tag}}{{/a}}", "{\"a\":[{\"a\":1},{\"a\":2}]}", "12"},
    };
    for (size_t i = 0; i < ELEMENTS(rules); i++) {
        expect_with(partials, FORMAT_PLAIN, &rules[i]);
    }
}

static void errors_name_their_line(void **state)
{
    (void)state;
    const struct mustache_options lenient = {0};
    expect_error(lenient, "a\n\n{{a", "t:3: a tag is opened by {{ and never closed by }}");
    expect_error(lenient, "\n{{{a}}", "t:2: a tag is opened by {{ and never closed by }}}");
    expect_error(lenient, "\n{{#a}}\n\n{{b}}\n", "t:2: section {{#a}} is never closed");
    expect_error(lenient, "{{^a}}\n{{#b}}\n{{/a}}{{/b}}", "t:3: {{/a}} where {{#b}} of line 2");
    expect_error(lenient, "\n\n\n{{/b}}", "t:4: {{/b}} closes a section that was not opened");
    expect_error(lenient, "x\n{{ }}", "t:2: a tag without a name");
    expect_error(lenient, "{{=<%=}}", "t:1: cannot set delimiters");
    expect_error(lenient, "{{=a b c=}}", "t:1: cannot set delimiters");
    expect_error(lenient, "{{=a =b=}}", "t:1: cannot set delimiters");
}

static void strict_knows_every_name(void **state)
{
    (void)state;
    const struct mustache_options strict = {.strict = true};
    expect_error(strict, "\n{{nme}}", "t:2: nme: no such name in the context");
    expect_error(strict, "{{{object.c}}}", "t:1: object.c: no such name");
    expect_error(strict, "{{list}}", "t:1: list: this is a list, not a text");
    expect_error(strict, "{{object}}", "t:1: object: this is an object, not a text");
    expect_error(strict, "{{>p}}", "t:1: p: there is no directory of partials");
    _cleanup_buffer_ struct buffer out = {0};
    assert_int_equal(render_with(NULL, strict, "{{a}}{{#b}}{{c}}{{/b}}{{^b}}n{{/b}}{{#a}}{{^a.x}}{{a}}{{/a.x}}{{/a}}",
                                 "{\"a\":1}", &out, NULL),
                     0);
    assert_string_equal(out.data, "1n1");
}

static void a_strict_partial_must_be_there(void **state)
{
    (void)state;
    static const char *const partials[] = {"p", "{{\n", NULL};
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_error_ struct error *absent = NULL;
    _cleanup_error_ struct error *broken = NULL;
    assert_int_equal(render_with(partials, (struct mustache_options){.strict = true}, "\n{{>q}}", "{}", &out, &absent),
                     -1);
    assert_non_null(strstr(absent->message, "t:2: q: cannot read"));
    assert_int_equal(render_with(partials, (struct mustache_options){0}, "{{>p}}", "{}", &out, &broken), -1);
    assert_non_null(strstr(broken->message, "p.mustache:1: a tag is opened"));
}

static void partials_stay_in_their_directory(void **state)
{
    (void)state;
    const struct mustache_options options = {.partials = "/tmp"};
    expect_error(options, "{{>/etc/passwd}}", "must be a file below");
    expect_error(options, "{{>../x}}", "must be a file below");
    expect_error(options, "{{>x/../../y}}", "must be a file below");
    expect_error(options, "{{>..}}", "must be a file below");
}

static void renders_that_never_end_are_refused(void **state)
{
    (void)state;
    static const char *const partials[] = {"self", " {{>self}}\n", "twice", "{{>twice}}{{>twice}}", NULL};
    static const char *const templates[] = {"{{>self}}", "{{>twice}}"};
    for (size_t i = 0; i < ELEMENTS(templates); i++) {
        _cleanup_buffer_ struct buffer out = {0};
        _cleanup_error_ struct error *err = NULL;
        assert_int_equal(render_with(partials, (struct mustache_options){0}, templates[i], "{}", &out, &err), -1);
        assert_non_null(strstr(err->message, "deeper than 1000 levels"));
        assert_int_equal(out.len, 0);
    }
}

static void multiplying_sections_are_refused(void **state)
{
    (void)state;
    _cleanup_buffer_ struct buffer template = {0};
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_error_ struct error *err = NULL;
    for (int i = 0; i < 8; i++) {
        buffer_puts(&template, "{{#l}}");
    }
    buffer_puts(&template, "{{text}}");
    for (int i = 0; i < 8; i++) {
        buffer_puts(&template, "{{/l}}");
    }
    _cleanup_json_ json_t *context = json_pack("{s:[iiiiiiiiii]}", "l", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    _cleanup_free_ char *text = xcalloc(1, 100001);
    memset(text, 'x', 100000);
    json_object_set_new(context, "text", json_string(text));
    const struct mustache_options options = {0};
    assert_int_equal(mustache_render("t", template.data, template.len, context, &options, &out, &err), -1);
    assert_non_null(strstr(err->message, "64 MiB"));
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    _cleanup_buffer_ struct buffer deep = {0};
    for (int i = 0; i < 1000; i++) {
        buffer_puts(&deep, "{{#a}}");
    }
    size_t half = deep.len;
    for (int i = 0; i < 1000; i++) {
        buffer_puts(&deep, "{{/a}}");
    }
    _cleanup_json_ json_t *context = json_pack("{s:b}", "a", true);
    _cleanup_buffer_ struct buffer out = {0};
    const struct mustache_options options = {0};
    assert_int_equal(mustache_render("t", deep.data, deep.len, context, &options, &out, NULL), 0);
    deep.len = half;
    buffer_puts(&deep, "{{#a}}");
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(mustache_render("t", deep.data, deep.len, context, &options, &out, &err), -1);
    assert_non_null(strstr(err->message, "nested deeper than 1000"));
}

static void bytes_that_are_not_utf8_pass_through(void **state)
{
    (void)state;
    static const char template[] = "a\0{{x}}\0\xff";
    _cleanup_json_ json_t *context = json_pack("{s:i}", "x", 1);
    _cleanup_buffer_ struct buffer out = {0};
    const struct mustache_options options = {0};
    assert_int_equal(mustache_render("t", template, sizeof template - 1, context, &options, &out, NULL), 0);
    assert_int_equal(out.len, 5);
    assert_memory_equal(out.data, "a\0001\0\xff", 5);
}

static void conditions_are_those_of_sections(void **state)
{
    (void)state;
    _cleanup_json_ json_t *context = json_pack("{s:{s:b,s:[],s:i}}", "a", "yes", true, "none", "zero", 0);
    assert_true(mustache_truthy(context, "a"));
    assert_true(mustache_truthy(context, "a.yes"));
    assert_false(mustache_truthy(context, "a.none"));
    assert_false(mustache_truthy(context, "a.zero"));
    assert_false(mustache_truthy(context, "b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_looked_up),
        cmocka_unit_test(values_are_written_as_they_are),
        cmocka_unit_test(sections_repeat_or_vanish),
        cmocka_unit_test(a_tag_alone_takes_its_line),
        cmocka_unit_test(delimiters_change),
        cmocka_unit_test(partials_are_filled_in),
        cmocka_unit_test(errors_name_their_line),
        cmocka_unit_test(strict_knows_every_name),
        cmocka_unit_test(a_strict_partial_must_be_there),
        cmocka_unit_test(partials_stay_in_their_directory),
        cmocka_unit_test(renders_that_never_end_are_refused),
        cmocka_unit_test(multiplying_sections_are_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(bytes_that_are_not_utf8_pass_through),
        cmocka_unit_test(conditions_are_those_of_sections),
    };
    return cmocka_run_group_tests_name("mustache", tests, NULL, NULL);
}
