/* The texts of the app package in its two languages: locale/en.json and locale/zh-cn.json. */
#ifndef LAB_LOCALE_H
#define LAB_LOCALE_H

#include <jansson.h>

#include "lib/core/error.h"

#define LOCALE_ENGLISH "en"
#define LOCALE_CHINESE "zh-cn"

/* Reads both from SOURCE/templates/appcenter/: {"en": {key: text}, "zh-cn": {...}}, a new reference. */
int locale_load(const char *source, json_t **locale, struct error **err);

/* What AppCenter shows for exit status STATUS: {"en": text, "zh": text}, a new reference; NULL where the package has no
 * text for it, as for 0. LOCALE may be NULL. */
json_t *locale_status(const json_t *locale, int status);

/* The text of KEY in LANGUAGE; KEY itself where there is none. Borrowed. */
const char *locale_text(const json_t *locale, const char *language, const char *key);

/* LOCALE_CHINESE where LC_ALL, LC_MESSAGES or LANG, the first that is set, begins with "zh", else LOCALE_ENGLISH. */
const char *locale_language(void);

#endif
