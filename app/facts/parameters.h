/* The parameters a user sets in AppCenter's form: one table with key, default, check and the text of what is accepted.
 */
#ifndef APP_FACTS_PARAMETERS_H
#define APP_FACTS_PARAMETERS_H

#include <stdbool.h>

#include <jansson.h>

#include "app/facts/facts.h"
#include "app/status.h"
#include "lib/core/util.h"

struct parameter {
    const char *key;      /* under /env */
    const char *fallback; /* taken when the key is absent; NULL: the key is required */
    const char *accepted; /* for people: what a value may be */
    bool secret;          /* its value is never printed */
    /* Takes the value over; false when it is not acceptable. */
    bool (*set)(struct parameters *parameters, const char *value);
    /* Where the value is a list at blanks: whether one word of it is acceptable, so that a message can point at it. */
    bool (*word)(const char *word);
};

/* The last has no key. */
extern const struct parameter parameter_table[];

/* What is wrong, gathered so that one message can name all of it. Zero-initialise; free the buffer. */
struct problems {
    struct buffer text; /* a line each */
    size_t count;
    int status; /* of the one problem; STATUS_PARAMETER when there are several */
};
void problem_add(struct problems *problems, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void problems_clear(struct problems *problems);

/* Reads ENV (the tree's /env, may be NULL) into *PARAMETERS, which is empty before. Values that are not accepted, and
 * pairs of values that exclude each other, are added to PROBLEMS as `key "value": what is accepted`. */
void parameters_read(struct parameters *parameters, const json_t *env, struct problems *problems);
void parameters_clear(struct parameters *parameters);

/* TEXT between double quotes on one line: what would break the line or the quotes is escaped, and what is long is cut.
 * The caller frees. */
char *quote(const char *text);

#endif
