/* Several things at once, a thread each. */
#ifndef LAB_PARALLEL_H
#define LAB_PARALLEL_H

#include <stddef.h>

#include "lib/core/error.h"

struct job {
    int (*run)(void *data, struct error **err);
    void *data;
    struct error *err; /* set by parallel */
};

/* Runs all jobs to their end. -1 with the first job's error when any failed; the others' are freed. */
int parallel(struct job *jobs, size_t count, struct error **err);

#endif
