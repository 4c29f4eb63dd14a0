/* SIGTERM, SIGINT, SIGHUP as an orderly stop: whatever waits watches one descriptor and ends with STATUS_INTERRUPTED.
 */
#ifndef LIB_CORE_INTERRUPT_H
#define LIB_CORE_INTERRUPT_H

#include <stdbool.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

/* Blocks the three signals and takes them through a signalfd. Call once, first thing. */
int interrupt_open(struct error **err);

/* Descriptor that is readable once a signal came, for poll; -1 before interrupt_open. Never read it. */
int interrupt_fd(void);

/* True once a signal came. */
bool interrupted(void);

/* Sets STATUS_INTERRUPTED with the signal's name in *err and returns -1 if a signal came, else 0. */
int interrupt_check(struct error **err);

/* Waits MS, or until DEADLINE where that comes first (then 0 too); STATUS_INTERRUPTED as soon as a signal came. */
int interrupt_sleep(int64_t ms, struct deadline deadline, struct error **err);

/* Waits until FD is ready for EVENTS, those of poll. 1: it is. 0: DEADLINE passed. STATUS_INTERRUPTED as soon as a
 * signal came. */
int interrupt_wait(int fd, short events, struct deadline deadline, struct error **err);

/* The same until FD is readable. */
int interrupt_wait_readable(int fd, struct deadline deadline, struct error **err);

/* In a child after fork: undoes the blocking, async-signal-safe. */
void interrupt_child(void);

#endif
