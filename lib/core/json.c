#include "lib/core/json.h"

#include <stdarg.h>

const char *json_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

const char *json_text_or(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_text(object, key);
    return text == NULL ? otherwise : text;
}

const char *json_text_at(const json_t *object, const char *first, ...)
{
    va_list keys;
    va_start(keys, first);
    for (const char *key = first; key != NULL; key = va_arg(keys, const char *)) {
        object = json_object_get(object, key);
    }
    va_end(keys);
    return json_string_value(object);
}
