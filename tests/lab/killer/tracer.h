/* A program and all its children, stopped before each system call that changes something. */
#ifndef TESTS_LAB_KILLER_TRACER_H
#define TESTS_LAB_KILLER_TRACER_H

#include <stdbool.h>
#include <stdio.h>

#include "lib/core/error.h"

struct tracer {
    const char *root;  /* chroot of the program; "" is none */
    char *const *argv; /* NULL-terminated */
    long kill_at;      /* number of the call before which all are killed, from 1; 0: never */
    bool half;         /* that call is a write: half of it is done before */
    FILE *points;      /* a line a call; may be NULL */
    const char *disk;  /* a journal of what reached the disk is kept here (killer/disk.h); may be NULL */
    const char *upper; /* where the changes of ROOT lie; with DISK */
    long calls;        /* out: how many there were */
    bool killed;       /* out */
    int status;        /* out: exit status of the program, 128 + signal */
};

/* Runs it to its end, or to the call at which it is killed: nothing of it is left then. */
int tracer_run(struct tracer *tracer, struct error **err);

#endif
