/* The events that are not tables of steps: a role lists them beside its tables. Each returns 0, or -1 with *err set. */
#ifndef HOOKS_EVENTS_EVENTS_H
#define HOOKS_EVENTS_EVENTS_H

#include "hooks/engine/role.h"

int event_restart(struct run *run, struct error **err);
int event_check(struct run *run, struct error **err);
int event_revive(struct run *run, struct error **err);
int event_metadata(struct run *run, struct error **err);
int event_monitor(struct run *run, struct error **err);
int event_tab(struct run *run, struct error **err);
int event_reload(struct run *run, struct error **err);
/* What k8s-reconcile.timer runs: `reload` where there is anything to do. A reload that failed is done again by it, and
 * the master's add-ons are brought back to what they should be. */
int event_reconcile(struct run *run, struct error **err);
int event_render(struct run *run, struct error **err);
/* One admission request of the API server about a Service, on the connected socket that is stdin
 * (k8s-admission.socket): sets what step_default_load_balancers would. */
int event_admit(struct run *run, struct error **err);
int event_backup(struct run *run, struct error **err);
int event_delete_snapshot(struct run *run, struct error **err);
int event_compact_etcd(struct run *run, struct error **err);
int event_prune_images(struct run *run, struct error **err);
int event_status(struct run *run, struct error **err);
int event_facts(struct run *run, struct error **err);

/* What every role can do, for its list of events. */
/* clang-format off */
#define EVENTS_OF_EVERY_ROLE \
    {"restart", NULL, event_restart}, \
    {"check", NULL, event_check}, \
    {"revive", NULL, event_revive}, \
    {"monitor", NULL, event_monitor}, \
    {"tab", NULL, event_tab}, \
    {"reload", NULL, event_reload}, \
    {"reconcile", NULL, event_reconcile}, \
    {"render", NULL, event_render}, \
    {"status", NULL, event_status}, \
    {"facts", NULL, event_facts}
/* clang-format on */

#endif
