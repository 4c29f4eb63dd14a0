/* What a program does first and last. */
#ifndef LIB_SYSTEM_PROGRAM_H
#define LIB_SYSTEM_PROGRAM_H

#include "lib/core/error.h"

/* First thing in main, before a file is opened or a thread is started:
 * - a standard descriptor that is closed is taken by /dev/null, in the direction that fails, so that no file opened
 *   later becomes standard output;
 * - SIGPIPE is ignored: a reader that goes away is an error of the write, and ends nothing half way;
 * - no core dump, and no other process of the same user may read this one's memory: keys and passwords are in it. */
int program_start(struct error **err);

/* Last: writes out and closes stdout. STATUS_FAILED when anything that was printed has been lost, now or earlier. */
int program_end(struct error **err);

#endif
