/* The record of what a lab did: DIR/events.jsonl, one JSON object a line, only ever appended to. `lab events`, `lab
 * status` and the report read it. Times are CLOCK_REALTIME: "..._ns" since 1970 as an integer, and the same as text
 * ("2026-11-25T19:30:00.123Z"). Every object has "kind":
 *
 * "event": something that has ended. {id, machine, role, event, begin_ns, begin, end_ns, end, ms, status, text: {en,
 *   zh}, error, argument, steps: [{name, result, begin_ns, end_ns}]}
 *   machine and role are missing for what is done to the whole cluster (create, add, delete, set, stop, start, restart,
 *   resize, upgrade, ...). event of a machine: a service of the app package (init, start, check, action, "tab NAME",
 *   "scale_in.pre_check", custom_metadata, ...), reload, or boot, power-off, power-cut. status: the exit status; text:
 *   what AppCenter shows for it (the package's err_codeN; missing where it has none); error: our message, missing where
 *   all went well. steps: from the hook's own history, in their order; its steps run one after the other and their
 *   lengths are known, so begin_ns is that of the run and the lengths before; missing where there is no history.
 * "begin": the event ID has begun. {id, machine, role, event, begin_ns, begin, pid, pid_start}: the lab's program
 *   (pid_start: field 22 of its stat in /proc). An ID without an "event" is running as long as that process is there,
 *   and was killed otherwise.
 * "health": the platform's verdict on a machine has changed. {machine, role, at_ns, at, health: "healthy" |
 *   "unhealthy", status, text, error}: status and what follows of the last check.
 * "fault": {id, fault, machine, state: "begin" | "end", at_ns, at, until_ns, detail}: a fault on demand; until_ns in
 *   its beginning, missing where it stays until it is lifted.
 * "action": {machine, role, at_ns, at, action}: what a person did that is not an event (exec, shell, kill).
 */
#ifndef LAB_RECORD_H
#define LAB_RECORD_H

#include "tests/lab/lab/lab.h"

/* Something that goes on. Nothing here fails: what cannot be recorded is not, and the event goes on. All functions may
 * be called from any thread. */
struct record;

/* MACHINE NULL: the whole cluster. Never NULL. Nothing is written for a lab that is not on disk. */
struct record *record_begin(const struct lab *lab, const struct machine *machine, const char *event);
/* It began at NS already. */
void record_began(struct record *record, int64_t ns);
/* The steps of the hook's run are taken from MACHINE, which must still run. ARGUMENT may be NULL. */
void record_steps(struct record *record, const char *command);
void record_argument(struct record *record, const char *argument);
/* ERROR is NULL where all went well. Frees RECORD; NULL is nothing. */
void record_end(struct record *record, int status, const char *error);
/* The same with the status of ERR, which may be NULL. Returns R. */
int record_result(struct record *record, int r, struct error *const *err);

void record_health(const struct lab *lab, const struct machine *machine, bool healthy, int status, const char *error);
/* ID as `fault` printed it. UNTIL_NS 0: until it is lifted. MACHINE may be NULL: a server's. */
void record_fault(const struct lab *lab, const char *id, const char *fault, const char *machine, bool begins,
                  int64_t until_ns, const char *detail);
void record_action(const struct lab *lab, const struct machine *machine, const char *action);

/* All entries, oldest first; a new reference, empty when there is none. A line that is cut is passed over. */
json_t *record_read(const struct lab *lab);
json_t *record_read_file(const char *path); /* the same of a copy */
/* Whether the process that wrote the "begin" entry BEGIN is still there. */
bool record_runs(const json_t *begin);

int64_t record_now(void);      /* ns */
char *record_time(int64_t ns); /* as above; the caller frees */

#endif
