/* Kubeconfig files with one cluster, one user and the credentials inside: kubeadm's (block style YAML) and ours (JSON).
 */
#ifndef HOOKS_CLIENTS_KUBECONFIG_H
#define HOOKS_CLIENTS_KUBECONFIG_H

#include "app/kube.h"
#include "lib/core/error.h"

struct kubeconfig {
    char *server;
    char *ca;      /* PEM; NULL when the file does not hold it */
    char *cert;    /* PEM; NULL when the file does not hold it */
    char *key;     /* PEM, secret */
    int memory[3]; /* of kubeconfig_open; 0: none */
};

/* STATUS_FILE when there is none; STATUS_CONFIG, STATUS_CRYPTO when it is something else. */
int kubeconfig_read(const char *path, struct kubeconfig *config, struct error **err);
int kubeconfig_parse(const char *text, struct kubeconfig *config, struct error **err);
void kubeconfig_free(struct kubeconfig *config);

/* A connection with the file's own server and credentials, which touch no disk on their way to OpenSSL. CONFIG must
 * outlive it. */
int kubeconfig_open(struct kubeconfig *config, struct kube **kube, struct error **err);

#endif
