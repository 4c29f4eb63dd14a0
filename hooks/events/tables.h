/* The tables of `tab`: AppCenter's {"labels": [...], "data": [[...], ...]}, all cells strings. */
#ifndef HOOKS_EVENTS_TABLES_H
#define HOOKS_EVENTS_TABLES_H

#include <time.h>

#include "hooks/clients/kubeconfig.h"
#include "hooks/files/certificates.h"

/* What AppCenter shows of a table at most (developer guide, "display_tabs"). */
enum { TABLE_COLUMNS = 5, TABLE_ROWS = 225 };

/* LIST is a NodeList: name, role, Ready, version, address; those that are not ready come first. */
json_t *nodes_table(const json_t *list);

/* The lists of kube-system: static pods of the control plane, then Deployments, DaemonSets and StatefulSets with how
 * many of their pods are ready. HEALTHY has the components that were probed: {"kube-scheduler": true}; what a pod's
 * status says counts for the others only. Any may be NULL. */
json_t *components_table(const json_t *pods, const json_t *healthy, const json_t *deployments,
                         const json_t *daemon_sets, const json_t *stateful_sets);

json_t *certificates_table(const struct certificates *certificates, time_t now);

/* Its path, server, CA and expiry; no key and no token. DASHBOARD is the address of the host that has k8s-dashboard,
 * NULL where there is no dashboard. */
json_t *kubeconfig_table(const char *path, const struct kubeconfig *config, const char *dashboard, time_t now);

/* Cuts DATA to TABLE_ROWS, the last row then telling how many are left out. */
void table_cut(json_t *table);

#endif
