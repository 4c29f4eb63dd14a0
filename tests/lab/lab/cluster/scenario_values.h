/* values.json of an end-to-end scenario against the form: a scenario proves a cluster that a user can have. */
#ifndef LAB_SCENARIO_VALUES_H
#define LAB_SCENARIO_VALUES_H

#include <jansson.h>

#include "lib/core/error.h"
#include "tests/lab/lab/form/form.h"

/* VALUES as a user would enter them: "counts" (a role that is not named has none) and "env", whose values are text as
 * on a command line. STATUS_USAGE with the form's message and PATH, the file they are from, where it refuses them, and
 * where VALUES has another key than counts, env, metadata, profile and zone. */
int scenario_values_check(const struct form *form, const char *path, const json_t *values, struct error **err);

#endif
