/* The parameters a cluster gets: the form's defaults, with a scenario's values over them. */
#ifndef LAB_VALUES_H
#define LAB_VALUES_H

#include <jansson.h>

#include "lib/error.h"

/* Puts the default of every parameter into ENV. */
int values_defaults(json_t *env, struct error **err);

#endif
