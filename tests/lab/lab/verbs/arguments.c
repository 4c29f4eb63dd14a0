#include <string.h>

#include "tests/lab/lab/verbs/verb.h"

bool take_option(char ***argv, const char *name)
{
    bool there = **argv != NULL && strcmp(**argv, name) == 0;
    *argv += there;
    return there;
}

int take_value(char ***argv, const char *name, const char **value, struct error **err)
{
    *value = NULL;
    if (!take_option(argv, name)) {
        return 0;
    }
    if (**argv == NULL) {
        return error_new(err, STATUS_USAGE, "%s requires a value", name);
    }
    *value = *(*argv)++;
    return 0;
}

int take_end(char *const *argv, struct error **err)
{
    return *argv == NULL ? 0 : error_new(err, STATUS_USAGE, "'%s': one argument too many", *argv);
}

int need_cluster(const struct lab *lab, struct error **err)
{
    if (!lab->created) {
        return error_new(err, STATUS_USAGE, "lab %s has no cluster, only machines: `lab create` makes one", lab->name);
    }
    for (size_t i = 0; i < lab->n_machines; i++) {
        if (!process_alive(&lab->machines[i]->leader)) {
            return error_new(err, STATUS_USAGE, "machine %s is off: `lab start` starts what is stopped",
                             lab->machines[i]->name);
        }
    }
    return 0;
}
