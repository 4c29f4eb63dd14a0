/* The app that a lab runs: the product of this source tree, or another whose package `--package` names. */
#ifndef LAB_APP_H
#define LAB_APP_H

#include "tests/lab/lab/lab.h"

/* Reads the package in lab->app: its form, texts, and cluster.json for what was entered. */
int app_load(struct lab *lab, struct error **err);

/* Another package, in DIRECTORY: config.json, cluster.json.mustache and locale/ of a package as users upload it. */
int app_choose(struct lab *lab, const char *directory, struct error **err);

/* Whether it is the product. */
bool app_is_product(const struct lab *lab);

/* What the agents of all machines render, below LAB's layer: DIRECTORY (may be NULL), which has conf.d and templates.
 * The image's own resource goes with another app. */
int app_put_confd(const struct lab *lab, const char *directory, struct error **err);

#endif
