/* Strings out of JSON values. All take NULL and values of other types: those hold no string. The strings are borrowed
 * from the value. */
#ifndef LIB_CORE_JSON_H
#define LIB_CORE_JSON_H

#include <jansson.h>

/* The string at KEY of OBJECT; NULL when there is none. */
const char *json_text(const json_t *object, const char *key);

/* The same; OTHERWISE when there is none. */
const char *json_text_or(const json_t *object, const char *key, const char *otherwise);

/* The string at OBJECT.FIRST.SECOND...; keys end with NULL. NULL when there is none. */
const char *json_text_at(const json_t *object, const char *first, ...) __attribute__((sentinel));

#endif
