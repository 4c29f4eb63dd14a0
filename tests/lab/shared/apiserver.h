/* A Kubernetes API server with its own etcd on loopback ports, for tests that need no machines. It ends with the
 * process that started it. Its binaries are those that tests/lab/build-kubernetes makes. */
#ifndef TESTS_LAB_SHARED_APISERVER_H
#define TESTS_LAB_SHARED_APISERVER_H

#include <sys/types.h>

#include "app/kube.h"
#include "lib/core/error.h"

struct apiserver {
    char
        *root; /* a temporary directory with etc/kubernetes/admin.conf and opt/kubernetes/bin/kubectl, as on a master */
    char *url; /* "https://127.0.0.1:PORT" */
    char *kubectl; /* path of the binary */
    pid_t etcd, api;
};

/* Returns when /readyz answers ok. */
int apiserver_start(struct apiserver *server, struct error **err);
/* A connection as an administrator with a client certificate, as the master's hooks have one. The caller frees it. */
int apiserver_kube(const struct apiserver *server, struct kube **kube, struct error **err);
/* Ends both, and removes the directory. */
void apiserver_stop(struct apiserver *server);

#endif
