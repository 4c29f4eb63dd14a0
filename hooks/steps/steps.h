/* Every step that a role's table can list; each is defined, with its own test and action, in the file of its concern.
 */
#ifndef HOOKS_STEPS_STEPS_H
#define HOOKS_STEPS_STEPS_H

#include "hooks/engine/role.h"

/* Where a node says which instance it is. */
#define INSTANCE_ANNOTATION "node.beta.kubernetes.io/instance-id"

/* What the user may not change (a pod vxnet disappears) against what was accepted here last. */
extern const struct step step_parameters;
/* The Elasticsearch outside the cluster that logs go to, if that is where they go, answers within a minute. */
extern const struct step step_logging;
/* With hostnic: the cloud API takes the key; on the master also the pod vxnets are there, of one VPC and large enough.
 * Not asked again while the answer cannot have changed; the health check reads what came. */
extern const struct step step_hostnic_check;
/* With hostnic, once images are loaded: CNI plugins, and hostnic's records on /data. Docker's unit sets the FORWARD
 * policy. */
extern const struct step step_hostnic_host;
/* The directories on /data and the links that lead there from where programs look. */
extern const struct step step_directories;
/* The role's files, as roles/ROLE.conf lists them. */
extern const struct step step_files;
/* master: what changed files need in the cluster, recorded by step_files. */
extern const struct step step_files_settled;
/* master: the add-ons are what the parameters ask for (hooks/steps/cluster/apply_addons.h). */
extern const struct step step_addons;
/* systemd has read the unit files, the kernel the sysctls. */
extern const struct step step_system_settings;
/* What roles/ROLE.conf lists as `unit` runs: what has no step of its own. */
extern const struct step step_units;
/* docker.service runs. */
extern const struct step step_docker;
/* The image's container archives are in Docker. */
extern const struct step step_images;
/* kubelet.service runs. */
extern const struct step step_kubelet;
/* kubelet.service runs anew. */
extern const struct step step_kubelet_restarted;

/* master: the cluster's authorities, certificates and kubeconfigs, made once for the life of the cluster. */
extern const struct step step_certificates;
/* master: none of them ends within 30 days, and they name the addresses the API server has now. */
extern const struct step step_certificates_fit;
/* master: all of them anew, whether they are due or not. */
extern const struct step step_certificates_renewed;
/* master: the control plane's containers run anew, with the certificates that lie there. */
extern const struct step step_control_plane_restarted;
/* master: the kubeconfig that is published, sealed, for the client. */
extern const struct step step_client_access;
/* master: the bootstrap token's value, made once. */
extern const struct step step_token_value;
/* master: static pod manifests as the configuration has them. */
extern const struct step step_control_plane;
/* master: /readyz answers ok. */
extern const struct step step_api_server;
/* master: kubeadm's configuration in the cluster, control-plane label and taint, kube-proxy and DNS. */
extern const struct step step_cluster_settings;
/* master: nodes may read the kubelet's figures, for `monitor`. */
extern const struct step step_metrics_access;
/* master: the cluster honours the token for a limited span: once when it is created, and again for scale-out. */
extern const struct step step_token_at_create;
extern const struct step step_token_honoured;

/* node, log, client: the master's token is in the metadata. */
extern const struct step step_token;
/* node, log: kubeadm join. */
extern const struct step step_join;

/* The node object names this VM's instance. */
extern const struct step step_node_annotation;
extern const struct step step_node_ready;
/* master: every node object names the instance its host has now. */
extern const struct step step_provider_ids;

/* client: the admin kubeconfig, opened with the client's own key, for root. */
extern const struct step step_client_kubeconfig;
/* client: root can log in at the console. */
extern const struct step step_console;

/* scale-out --check on the master: fit for new nodes? */
extern const struct step step_cluster_fit;
extern const struct step step_room;
/* scale-in on the master: --check asks whether the leaving nodes may go; then they are drained and removed. */
extern const struct step step_scale_in_check;
extern const struct step step_nodes_leave;

/* destroy: what must not be lost, then the leaving itself. */
extern const struct step step_pods_drained;
extern const struct step step_log_data_safe;
extern const struct step step_linked_etcd_clean;
extern const struct step step_membership_removed;

/* upgrade --check, and what upgrade has beside the steps of start. */
extern const struct step step_data_room;
extern const struct step step_version_skew;
extern const struct step step_healthy_if_running;
extern const struct step step_control_plane_upgraded;
extern const struct step step_node_upgraded;

/* restore on the master, with everything stopped; the steps of start follow. */
extern const struct step step_backup_sound;
extern const struct step step_etcd_restored;
extern const struct step step_keys_restored;
/* Those who watched the cluster will list it anew. */
extern const struct step step_watchers_turned_away;
/* Where the backup was another cluster's: nodes, service accounts and pods are of this one. */
extern const struct step step_moved_in;

/* The orderly way down. */
extern const struct step step_kubelet_stop;
extern const struct step step_containers_stop;
extern const struct step step_docker_stop;

#endif
