#include "tests/lab/lab/form/locale.h"

#include "lib/core/json.h"
#include "lib/core/util.h"

static int load(const char *directory, const char *language, json_t *locale, struct error **err)
{
    _cleanup_free_ char *path = xasprintf("%s/locale/%s.json", directory, language);
    json_error_t why;
    json_t *texts = json_load_file(path, 0, &why);
    if (texts == NULL) {
        return error_new(err, STATUS_FILE, "%s:%d: %s", path, why.line, why.text);
    }
    json_object_set_new(locale, language, texts);
    return 0;
}

int locale_load(const char *directory, json_t **locale, struct error **err)
{
    _cleanup_json_ json_t *both = json_object();
    if (load(directory, LOCALE_ENGLISH, both, err) != 0 || load(directory, LOCALE_CHINESE, both, err) != 0) {
        return -1;
    }
    *locale = STEAL(both);
    return 0;
}

json_t *locale_status(const json_t *locale, int status)
{
    _cleanup_free_ char *key = xasprintf("err_code%d", status);
    const char *english = json_text_at(locale, LOCALE_ENGLISH, key, NULL);
    const char *chinese = json_text_at(locale, LOCALE_CHINESE, key, NULL);
    return english == NULL ? NULL : json_pack("{ss ss*}", "en", english, "zh", chinese);
}

const char *locale_text(const json_t *locale, const char *language, const char *key)
{
    return json_text_or(json_object_get(locale, language), key, key);
}

const char *locale_language(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        const char *value = getenv(names[i]);
        if (!str_empty(value)) {
            return str_starts(value, "zh") ? LOCALE_CHINESE : LOCALE_ENGLISH;
        }
    }
    return LOCALE_ENGLISH;
}
