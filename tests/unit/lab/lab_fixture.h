/* A lab without machines, in a directory of its own, with the locale of the product's package. */
#ifndef TESTS_UNIT_LAB_LAB_FIXTURE_H
#define TESTS_UNIT_LAB_LAB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/core/util.h"
#include "lib/system/tree.h"
#include "tests/lab/lab/form/locale.h"
#include "tests/lab/lab/lab.h"

static char directory[32]; /* the lab's */

/* cmocka's setup: *state is the lab, called "web". */
static inline int lab_enter(void **state)
{
    struct lab *lab = xcalloc(1, sizeof *lab);
    (void)strcpy(directory, "/tmp/lab-XXXXXX");
    if (mkdtemp(directory) == NULL || locale_load(LAB_APP, &lab->locale, NULL) != 0) {
        return -1;
    }
    lab->dir = directory;
    lab->name = (char *)"web";
    *state = lab;
    return 0;
}

/* Its teardown. */
static inline int lab_leave(void **state)
{
    struct lab *lab = *state;
    json_decref(lab->locale);
    json_decref(lab->package);
    free(lab);
    return tree_remove(directory, NULL);
}

#endif
