#include "tests/lab/lab/scenario.h"

int scenarios_run(struct lab *lab, char *const *names, struct error **err)
{
    (void)lab;
    (void)names;
    return error_new(err, STATUS_USAGE, "no scenarios yet");
}
