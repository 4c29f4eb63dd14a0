/* ROLE=N on the command line, and how many hosts of each role the values have. */
#ifndef LAB_COUNTS_H
#define LAB_COUNTS_H

#include "tests/lab/lab/cluster/appcenter.h"

/* The roles of the form CONFIG: those of "cluster" that have a count. NULL-terminated; the strings are borrowed. */
const char **counts_roles(const json_t *config);
bool counts_has_role(const json_t *config, const char *role);

/* WORDS ("node=2", ...) as ROLE=N with a role of CONFIG and N of 0 to 100; the array ends with a NULL role and has
 * borrowed names. NULL with *err otherwise. The caller frees. */
struct role_count *counts_parse(const json_t *config, char *const *words, struct error **err);

/* WORDS into VALUES, of the form's shape; a role that is not named gets 0. */
int counts_enter(const json_t *config, char *const *words, json_t *values, struct error **err);

/* What VALUES over the defaults say, without roles that have none; the array ends with a NULL role. */
struct role_count *counts_of(const json_t *config, const json_t *values);

#endif
