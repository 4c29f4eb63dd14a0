/* One property of the form against one value. */
#ifndef LAB_FORM_RULES_H
#define LAB_FORM_RULES_H

#include "tests/lab/lab/form/form.h"
#include "tests/lab/lab/form/texts.h"

/* STATUS_USAGE: "LABEL (KEY): TEXT", TEXT with FIGURE. PROPERTY may be NULL: KEY has none. */
int rule_refuse(const struct form *form, const char *key, const json_t *property, enum form_refusal refusal,
                const char *figure, struct error **err);

/* VALUE as the property's type; a new reference, NULL with *err. */
json_t *rule_parse(const struct form *form, const char *key, const json_t *property, const char *value,
                   struct error **err);
int rule_check(const struct form *form, const char *key, const json_t *property, const json_t *value,
               struct error **err);

bool rule_required(const json_t *property);
bool rule_has_default(const json_t *property); /* other than "" */
/* The keys below GROUP, for a message; the caller frees. */
char *rule_names(const json_t *group);

#endif
