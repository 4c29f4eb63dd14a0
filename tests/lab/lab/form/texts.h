/* Why the form refuses a value, in the two languages of AppCenter. */
#ifndef LAB_FORM_TEXTS_H
#define LAB_FORM_TEXTS_H

enum form_refusal {
    FORM_UNKNOWN,
    FORM_REQUIRED,
    FORM_INTEGER,
    FORM_NUMBER,
    FORM_BOOLEAN,
    FORM_STRING,
    FORM_GROUP,
    FORM_RANGE,
    FORM_MIN,
    FORM_MAX,
    FORM_STEP,
    FORM_PATTERN,
    FORM_FIXED,
    FORM_REFUSALS
};

/* A text with one %s, the figure or list it speaks of, which may be "". LANGUAGE as in locale.h. */
const char *form_text(enum form_refusal refusal, const char *language);

#endif
