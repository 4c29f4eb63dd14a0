/* What `monitor` prints beside the use of /data: a role lists its own in roles/ROLE.c. */
#ifndef HOOKS_EVENTS_FIGURES_H
#define HOOKS_EVENTS_FIGURES_H

#include "hooks/engine/role.h"

struct figures {
    /* Adds numbers to ITEMS under the names of "monitor" in the app package. */
    int (*add)(struct run *run, json_t *items, struct deadline deadline, struct error **err);
};

/* From the kubelet: pods, containers, CPU and memory. */
extern const struct figures figures_node;
/* From the API server: requests a second and their latency. */
extern const struct figures figures_api_server;
/* With hostnic: the addresses that are left for pods. */
extern const struct figures figures_pod_addresses;
/* etcd's database: the part of its quota that is used. */
extern const struct figures figures_etcd;
/* Documents in the cluster's Elasticsearch. */
extern const struct figures figures_log_documents;

/* Chunks of logs that Fluent Bit gave up within an hour, from Prometheus. */
extern const struct figures figures_logs_given_up;

#endif
