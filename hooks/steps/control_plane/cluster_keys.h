/* What a cluster cannot be without: its CAs and the key that service account tokens are signed with. Every kubelet,
 * kubeconfig and token depends on them, and nothing can replace them but a backup. */
#ifndef HOOKS_STEPS_CONTROL_PLANE_CLUSTER_KEYS_H
#define HOOKS_STEPS_CONTROL_PLANE_CLUSTER_KEYS_H

#include "hooks/engine/role.h"

/* Reads all of them and verifies that each certificate belongs to its key. STATUS_CRYPTO or STATUS_FILE names the first
 * file that is missing or damaged. With a linked etcd there is no CA of etcd here. */
int cluster_keys_verify(const struct run *run, struct error **err);

/* What shows that a cluster has used the keys here, for an error message: etcd's data, the kubelet's certificate, a
 * kubeconfig, or the CA hash in the metadata. NULL when nothing does: then nothing depends on them yet. The caller
 * frees. */
char *cluster_keys_evidence(const struct run *run);

/* Moves the directory of keys to pki.incomplete-TIME beside it, mode 0700, TIME in UTC; absent is fine. */
int cluster_keys_set_aside(const struct run *run, struct error **err);

#endif
