/* End-to-end scenarios: folders of tests/e2e. */
#ifndef LAB_SCENARIO_H
#define LAB_SCENARIO_H

#include "tests/lab/lab/lab.h"

/* Runs the scenarios NAMES (all when empty) and prints TAP. */
int scenarios_run(struct lab *lab, char *const *names, struct error **err);

#endif
