/* End-to-end scenarios: a folder of tests/e2e holds values.json (parameters, counts, links) and scenario (one action a
 * line; tests/e2e/README.md has them all). */
#ifndef LAB_SCENARIO_H
#define LAB_SCENARIO_H

#include "lib/system/proc.h"
#include "tests/lab/lab/cluster/appcenter.h"
#include "tests/lab/lab/lab.h"

/* Runs the scenarios NAMES (all when empty) in LAB, whose cluster is created again where a scenario requires it, and
 * prints TAP. The last cluster is removed at the end unless KEEP. REUSE: the first scenario takes the cluster that is
 * there.
 */
int scenarios_run(struct lab *lab, char *const *names, bool keep, bool reuse, struct error **err);

struct scenario {
    struct lab *lab;
    char *name;
    char **lines;
    size_t line; /* index of the current one */
    json_t *values;
    json_t *kept; /* name: text, for @name@ */
    struct proc_result last;
    int status;    /* of the last run, try or event */
    int timeout_s; /* of run, try */
    bool reused;   /* the cluster was there before */
    struct role_count counts[8];
};

struct action {
    const char *name;
    const char *usage; /* what stands behind the name */
    /* ARGUMENTS is the rest of the line, @names@ replaced. An error is a failed expectation; its message names the
     * reason. */
    int (*run)(struct scenario *s, char *arguments, struct error **err);
    enum {
        ACTION_STEP,
        ACTION_EXPECT,
        ACTION_QUIET
    } kind; /* a failed step ends the scenario; quiet: no line of its own */
};

/* NULL when there is none of that name. */
const struct action *action_find(const char *name);

/* Takes the first word off *ARGUMENTS; "" when there is none. */
char *next_word(char **arguments);

/* Whether the next action names the expected status; else it is 0. */
bool status_follows(const struct scenario *s);

/* Actions about the cloud. */
int run_lab(struct scenario *s, char *arguments, struct error **err);
int run_cloud(struct scenario *s, char *arguments, struct error **err);
int run_cloud_until(struct scenario *s, char *arguments, struct error **err);
int run_cloud_faults(struct scenario *s, char *arguments, struct error **err);

#endif
