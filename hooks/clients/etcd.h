/* The etcd of this master, read through its metrics listener on the loopback address (kubeadm's --listen-metrics-urls).
 */
#ifndef HOOKS_CLIENTS_ETCD_H
#define HOOKS_CLIENTS_ETCD_H

#include <stdint.h>

#include <jansson.h>

#include "app/status.h"
#include "lib/core/error.h"
#include "lib/core/util.h"

#define ETCD_METRICS "http://127.0.0.1:2381"

/* Bytes; -1 where etcd does not report them. */
struct etcd_size {
    int64_t file;   /* the database file */
    int64_t in_use; /* what would be left of it after a defragmentation */
    int64_t quota;  /* etcd refuses every write when the file has grown to this */
};

/* STATUS_UNHEALTHY when it does not answer, has no leader or has raised an alarm (out of space, corrupt). URL is
 * ETCD_METRICS but in tests. */
int etcd_health(const char *url, struct deadline deadline, struct error **err);
int etcd_size(const char *url, struct deadline deadline, struct etcd_size *size, struct error **err);

/* etcdctl with the health check's certificate and ARGUMENTS (NULL-terminated). OUTPUT gets stdout, which the caller
 * frees; NULL: not kept. Errors as proc_run. */
int etcdctl(const char *const *arguments, struct deadline deadline, char **output, struct error **err);

#endif
