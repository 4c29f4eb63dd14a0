#define PCRE2_CODE_UNIT_WIDTH 8
#include "tests/lab/lab/form/rules.h"

#include <pcre2.h>
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/lab/form/locale.h"

static bool is_type(const json_t *property, const char *type)
{
    return strcmp(json_text_or(property, "type", "string"), type) == 0;
}

int rule_refuse(const struct form *form, const char *key, const json_t *property, enum form_refusal refusal,
                const char *figure, struct error **err)
{
    char text[4096];
    const char *label = json_text(property, "label");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* one %s in each text of texts.c */
    (void)snprintf(text, sizeof text, form_text(refusal, form->language), figure);
#pragma GCC diagnostic pop
    return label == NULL ? error_new(err, STATUS_USAGE, "%s: %s", key, text)
                         : error_new(err, STATUS_USAGE, "%s (%s): %s", locale_text(form->locale, form->language, label),
                                     key, text);
}

bool rule_required(const json_t *property)
{
    return strcmp(json_text_or(property, "required", "no"), "yes") == 0;
}

bool rule_has_default(const json_t *property)
{
    const json_t *usual = json_object_get(property, "default");
    return usual != NULL && !(json_is_string(usual) && json_string_length(usual) == 0);
}

char *rule_names(const json_t *group)
{
    struct buffer names = {0};
    size_t i;
    json_t *below;
    buffer_puts(&names, "");
    json_array_foreach (json_object_get(group, "properties"), i, below) {
        buffer_printf(&names, "%s%s", i == 0 ? "" : ", ", json_text_or(below, "key", "?"));
    }
    return names.data;
}

/* A value as people write it, without quotes. */
static char *plain(const json_t *value)
{
    return json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
}

json_t *rule_parse(const struct form *form, const char *key, const json_t *property, const char *value,
                   struct error **err)
{
    if (is_type(property, "integer") || is_type(property, "number")) {
        /* "007" or "+7" are not JSON: a number as AppCenter's form takes it is */
        json_t *number = strpbrk(value, " \t\r\n") != NULL ? NULL : json_loads(value, JSON_DECODE_ANY, NULL);
        if (is_type(property, "integer") ? json_is_integer(number) : json_is_number(number)) {
            return number;
        }
        json_decref(number);
        (void)rule_refuse(form, key, property, is_type(property, "integer") ? FORM_INTEGER : FORM_NUMBER, "", err);
        return NULL;
    }
    if (is_type(property, "boolean") && (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)) {
        return json_boolean(*value == 't');
    }
    if (is_type(property, "boolean")) {
        (void)rule_refuse(form, key, property, FORM_BOOLEAN, "", err);
        return NULL;
    }
    return json_string(value);
}

static int check_type(const struct form *form, const char *key, const json_t *property, const json_t *value,
                      struct error **err)
{
    if (is_type(property, "array")) {
        _cleanup_free_ char *names = rule_names(property);
        return rule_refuse(form, key, property, FORM_GROUP, names, err);
    }
    if (is_type(property, "integer")) {
        return json_is_integer(value) ? 0 : rule_refuse(form, key, property, FORM_INTEGER, "", err);
    }
    if (is_type(property, "number")) {
        return json_is_number(value) ? 0 : rule_refuse(form, key, property, FORM_NUMBER, "", err);
    }
    if (is_type(property, "boolean")) {
        return json_is_boolean(value) ? 0 : rule_refuse(form, key, property, FORM_BOOLEAN, "", err);
    }
    return json_is_string(value) ? 0 : rule_refuse(form, key, property, FORM_STRING, "", err);
}

static int check_range(const struct form *form, const char *key, const json_t *property, const json_t *value,
                       struct error **err)
{
    const json_t *range = json_object_get(property, "range");
    _cleanup_buffer_ struct buffer list = {0};
    size_t i;
    json_t *allowed;
    buffer_puts(&list, "");
    json_array_foreach (range, i, allowed) {
        _cleanup_free_ char *text = plain(allowed);
        buffer_printf(&list, "%s%s", i == 0 ? "" : ", ", text);
        if (json_equal(allowed, value) == 1) {
            return 0;
        }
    }
    return range == NULL ? 0 : rule_refuse(form, key, property, FORM_RANGE, list.data, err);
}

static int check_figures(const struct form *form, const char *key, const json_t *property, const json_t *value,
                         struct error **err)
{
    const json_t *min = json_object_get(property, "min");
    const json_t *max = json_object_get(property, "max");
    const json_t *step = json_object_get(property, "step");
    double number = json_number_value(value);
    if (min != NULL && number < json_number_value(min)) {
        _cleanup_free_ char *text = plain(min);
        return rule_refuse(form, key, property, FORM_MIN, text, err);
    }
    if (max != NULL && number > json_number_value(max)) {
        _cleanup_free_ char *text = plain(max);
        return rule_refuse(form, key, property, FORM_MAX, text, err);
    }
    double steps = json_number_value(step) > 0 ? number / json_number_value(step) : 0;
    if (steps != (double)(long long)steps) {
        _cleanup_free_ char *text = plain(step);
        return rule_refuse(form, key, property, FORM_STEP, text, err);
    }
    return 0;
}

/* 1: it matches; 0: it does not; -1 with *err: PATTERN is none. As browsers do, in which the form is filled in. */
static int matches(const char *pattern, const char *text, struct error **err)
{
    int number = 0;
    PCRE2_SIZE at = 0;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &number, &at, NULL);
    if (code == NULL) {
        return error_new(err, STATUS_FILE, "pattern %s: wrong at character %zu", pattern, at);
    }
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
    int found = pcre2_match(code, (PCRE2_SPTR)text, strlen(text), 0, 0, data, NULL);
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    return found > 0;
}

static int check_text(const struct form *form, const char *key, const json_t *property, const json_t *value,
                      struct error **err)
{
    const char *text = json_string_value(value);
    const char *pattern = json_text(property, "pattern");
    if (*text == '\0' && rule_required(property)) {
        return rule_refuse(form, key, property, FORM_REQUIRED, "", err);
    }
    int match = pattern == NULL ? 1 : matches(pattern, text, err);
    return match == 0 ? rule_refuse(form, key, property, FORM_PATTERN, pattern, err) : match < 0 ? -1 : 0;
}

int rule_check(const struct form *form, const char *key, const json_t *property, const json_t *value,
               struct error **err)
{
    if (check_type(form, key, property, value, err) != 0 || check_range(form, key, property, value, err) != 0) {
        return -1;
    }
    return json_is_string(value)   ? check_text(form, key, property, value, err)
           : json_is_number(value) ? check_figures(form, key, property, value, err)
                                   : 0;
}
