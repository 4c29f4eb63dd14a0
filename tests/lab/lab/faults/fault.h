/* Faults on demand: what goes wrong in a lab because somebody asked for it, until a time or until it is ended. Each has
 * an entry in DIR/faults.json, and in the record (record.h). One with an end has a process of its own that ends it,
 * whatever became of the program that began it. */
#ifndef LAB_FAULT_H
#define LAB_FAULT_H

#include "tests/lab/lab/lab.h"

/* What a fault acts on. */
struct fault_target {
    struct lab *lab;
    struct machine *machine; /* NULL: a server's fault; or, at the end, a machine that is gone */
    const char *argument;    /* NULL: none */
};

struct fault_kind {
    const char *name;
    const char *arguments; /* as in "MACHINE UNIT" */
    const char *summary;
    bool on_machine;
    bool once;            /* it has no end */
    const char *excludes; /* kinds of one name up to a "-" that exclude each other; NULL: only itself on its machine */
    int (*begin)(const struct fault_target *target, struct error **err);
    /* Succeeds also where what it did is gone, as with a machine that was replaced. NULL: ONCE */
    int (*end)(const struct fault_target *target, struct error **err);
};

extern const struct fault_kind fault_kinds[]; /* the last has no name */
const struct fault_kind *fault_kind(const char *name);

/* SECONDS 0: until it is ended. *ID (the caller frees) is the fault's. The network must have been entered. */
int fault_begin(struct lab *lab, const struct fault_kind *kind, const char *machine, const char *argument, long seconds,
                char **id, struct error **err);
/* STATUS_USAGE: there is no fault ID. */
int fault_end(struct lab *lab, const char *id, struct error **err);
/* Waits for the time of fault ID and ends it; ends at once where the fault is ended before, or a signal comes. */
int fault_keep(struct lab *lab, const char *id, struct error **err);

/* Ends those whose time is over and whose own process was killed. */
int fault_end_overdue(struct lab *lab, struct error **err);

/* Those that last: an array of {id, fault, machine, argument, until_ns, keeper}; a new reference. */
json_t *fault_list(const struct lab *lab);
/* Ends the processes that wait for the end of a fault; for who ends the lab. */
void faults_drop(const struct lab *lab);

/* What the shell must be told before a service runs on MACHINE, as "export ...; "; "" without a fault of its clock. The
 * caller frees. */
char *fault_environment(const struct lab *lab, const struct machine *machine);

#endif
