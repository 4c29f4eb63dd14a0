/* The steps of a hook's run, as its own history has them (hooks/engine/history.h). */
#ifndef LAB_STEPS_H
#define LAB_STEPS_H

#include "tests/lab/lab/lab.h"

/* The steps of the run that COMMAND ("/opt/.../k8s-node scale-in --check") made on MACHINE between BEGAN and ENDED (ns
 * since 1970): [{name, result, begin_ns, end_ns}], a new reference; NULL where the machine keeps no such run. */
json_t *steps_read(const struct machine *machine, const char *command, int64_t began, int64_t ended);

/* The same from RUNS, the content of a history file. */
json_t *steps_of(const json_t *runs, const char *event, int64_t began, int64_t ended);

#endif
