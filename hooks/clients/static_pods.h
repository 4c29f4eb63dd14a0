/* Containers of static pods: what ends is started again by the kubelet. */
#ifndef HOOKS_CLIENTS_STATIC_PODS_H
#define HOOKS_CLIENTS_STATIC_PODS_H

#include <stdint.h>

#include "app/status.h"
#include "lib/core/error.h"
#include "lib/core/util.h"

struct static_pod_end {
    const char *signal; /* "TERM", "KILL": sent, and not waited for; NULL: TERM, and KILL after GRACE_S, waited for */
    int grace_s;
    int64_t age_s; /* only containers that were created this long ago; 0: all */
};

/* Ends the running containers called NAME ("etcd": a label that the kubelet gives them). Their number; -1 with
 * STATUS_COMMAND, STATUS_DEADLINE. */
int static_pod_end(const char *name, const struct static_pod_end *end, struct deadline deadline, struct error **err);

/* The control plane's components that have no client of their own. */
struct component {
    const char *name; /* as its static pod */
    int port;         /* secure, on 127.0.0.1: kubernetes.io/docs/reference/networking/ports-and-protocols */
};

extern const struct component component_scheduler, component_controller_manager;

/* Returns 0 when COMPONENT, on this host, answers its /healthz with ok. It answers everybody, with a certificate that
 * it signs itself when it starts. STATUS_UNHEALTHY otherwise; STATUS_DEADLINE. */
int component_probe(const struct component *component, struct deadline deadline, struct error **err);

#endif
