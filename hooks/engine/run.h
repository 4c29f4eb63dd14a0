/* What the members of struct run are made by: each function makes its member on the first call. */
#ifndef HOOKS_ENGINE_RUN_H
#define HOOKS_ENGINE_RUN_H

#include "app/status.h"
#include "hooks/engine/role.h"

/* Where an event takes the metadata from. */
enum metadata_source {
    METADATA_NONE,
    METADATA_LIVE,      /* the servers must answer */
    METADATA_OR_CACHED, /* the last good answer when they do not: for what must work while they are down */
    METADATA_ACCEPTED,  /* and also when the servers' answer holds a parameter that is refused: for what must work
                           whatever the user has set meanwhile */
    METADATA_CACHED,    /* the last good answer first, so that nothing waits */
};

/* run->tree and run->facts. STATUS_METADATA_*, STATUS_PARAMETER, or STATUS_USAGE when this host has another role. A
 * live tree that is not whole (STATUS_METADATA_INVALID) is waited for until the metadata's deadline. */
int run_facts(struct run *run, enum metadata_source source, struct error **err);

/* Forgets them, so that the next run_facts requests them again. */
void run_facts_forget(struct run *run);

/* Whether ERR, of run_facts_wait, may come of a tree that is being written. */
bool run_facts_unfinished(const struct error *err);

/* Requests it again after a long poll; run->facts and run->tree are replaced when the metadata changed.
 * STATUS_DEADLINE when nothing changed in time. */
int run_facts_wait(struct run *run, struct deadline deadline, struct error **err);

/* run->units. STATUS_UNIT under --root: files can be written elsewhere, services cannot be run there. */
int run_units(struct run *run, struct error **err);

/* run->kube: the API server as this host may query it. On the master the API server's own kubelet client certificate
 * (group system:masters), elsewhere the node's certificate, which the API server lets see and change its own node only.
 */
int run_kube(struct run *run, struct error **err);

/* The same as a connection of its own, for threads. The caller frees it. */
int run_kube_open(const struct run *run, struct kube **kube, struct error **err);

/* A connection of its own (for threads) with the node's certificate, on the master too. The caller frees it. */
int run_kube_as_node(const struct run *run, struct kube **kube, struct error **err);

/* This host's node object, over such a connection: a new reference. */
int run_own_node(const struct run *run, struct deadline deadline, json_t **node, struct error **err);

/* PATH under --root, whose links lead nowhere else: to write it, to remove it, or to inspect it without following what
 * it is itself a link to. run_path_followed: to read it. NAME in the state directory, itself under --root. The caller
 * frees. */
char *run_path(const struct run *run, const char *path);
char *run_path_followed(const struct run *run, const char *path);
char *run_state_path(const struct run *run, const char *name);

/* The deadline of one wait inside the event: SECONDS from now, never later than the event's. */
struct deadline run_deadline(const struct run *run, int seconds);

/* Before each thing an event does: STATUS_INTERRUPTED once a signal requested a stop, STATUS_DEADLINE once the event's
 * deadline has passed. */
int run_goes_on(const struct run *run, struct error **err);

/* Sleeps MS or until a signal requests a stop: STATUS_INTERRUPTED; STATUS_DEADLINE when DEADLINE comes first. Between
 * the tries of something that gives no event. */
int run_pause(int ms, struct deadline deadline, struct error **err);

/* Calls PROBE until it returns 0, for at most SECONDS: what is probed gives no event before it listens. The error names
 * WHAT that did not become WANTED, why PROBE failed last, and what the kubelet logged. */
int run_until(struct run *run, int (*probe)(struct run *run, struct deadline deadline, struct error **err),
              const char *what, const char *wanted, int seconds, struct error **err);

void run_close(struct run *run);

#endif
