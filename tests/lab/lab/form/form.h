/* The form that AppCenter shows to the user: config.json of the app package, with what it lets a user enter. Keys are
 * paths below its top: "env.max_pods", "cluster.node.count", "service_params.backup_keep". */
#ifndef LAB_FORM_H
#define LAB_FORM_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/core/error.h"

/* Reads config.json of the package in DIRECTORY; a new reference. */
int form_load(const char *directory, json_t **form, struct error **err);

/* Where what is refused says so: which texts, and in which language (locale.h). */
struct form {
    const json_t *config; /* as form_load gives it */
    const json_t *locale; /* of the labels; may be NULL */
    const char *language;
};

/* Whether a user may enter VALUE, a string as on a command line, for KEY; STATUS_USAGE with the reason otherwise: no
 * such key, its type, range, min, max, step, pattern or required. The value of a password is in no message.
 * CHANGE: the cluster exists already, and the key must be changeable. */
int form_check(const struct form *form, const char *key, const char *value, bool change, struct error **err);

/* "KEY=VALUE" into VALUES, of the form's shape, as form_check() would have it; "max_pods" is "env.max_pods". UNCHECKED:
 * only that there is such a key and VALUE has its type. */
int form_enter(const struct form *form, json_t *values, const char *assignment, bool unchecked, struct error **err);

/* The same for VALUES, an object of the form's shape with JSON values: {"cluster": {"node": {"count": 2}}, "env":
 * {"max_pods": 80}}. What is missing in it keeps its default, and is checked for required where FILLED_IN, the values
 * that the lab enters itself (may be NULL), has it neither. */
int form_check_values(const struct form *form, const json_t *values, const json_t *filled_in, struct error **err);

/* COUNT hosts of ROLE. */
int form_check_count(const struct form *form, const char *role, long count, struct error **err);

/* VALUES over the defaults, of the form's shape; a new reference. VALUES may be NULL. */
json_t *form_values(const json_t *config, const json_t *values);

/* The property at KEY, borrowed; NULL: none. */
const json_t *form_property(const json_t *config, const char *key);

#endif
