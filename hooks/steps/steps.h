/* Every step that a role's table can list; each is defined, with its own test and action, in the file of its concern.
 */
#ifndef HOOKS_STEPS_STEPS_H
#define HOOKS_STEPS_STEPS_H

#include "hooks/engine/role.h"

/* Where a node names its instance. */
#define INSTANCE_ANNOTATION "node.beta.kubernetes.io/instance-id"

/* Refuses a change that may not be made (a pod vxnet disappears) since the parameters were accepted here last. */
extern const struct step step_accept_parameters;
/* Waits up to a minute for the Elasticsearch outside the cluster to answer, where logs go to one. */
extern const struct step step_probe_elasticsearch;
/* The cloud API accepts the key, which is of the cluster's owner; with hostnic also: from each host, and on the master
 * the pod vxnets exist, belong to one VPC, are apart from the networks of services and containers (STATUS_PARAMETER)
 * and are large enough. Not queried again while the answer cannot have changed; the health check reads the recorded
 * answer. STATUS_CLOUD_*, STATUS_VXNET_*. */
extern const struct step step_check_cloud;
/* The same, for the timer: a query that was refused is repeated with pauses that grow to an hour. */
extern const struct step step_recheck_cloud;
/* The same, for a machine that starts: queried each time, since the key may have been revoked while the cluster was
 * stopped. That the API does not answer or has no quota left is a warning where it accepted the same inputs before,
 * and the accepted answer stays recorded. Not a step of `upgrade`: that fails back to the old image, which has the same
 * key. */
extern const struct step step_query_cloud;
/* With hostnic, once images are loaded: CNI plugins, and hostnic's records on /data, in a directory of the instance's
 * name: on another machine what they say of network cards is wrong, and pods would wait for those without end.
 * Docker's unit sets the FORWARD policy. */
extern const struct step step_install_hostnic;
/* With hostnic: deletes the network cards of the machines that this one replaced, as their records on /data name them.
 * Of this step and the next two: what the cloud does not take back is left with a warning that names it. */
extern const struct step step_release_former_nics;
/* The directories on /data, and the links to them from the paths that programs use. */
extern const struct step step_make_directories;
/* The role's files, as roles/ROLE.conf lists them. */
extern const struct step step_write_files;
/* master: clears what changed files need in the cluster, recorded by step_write_files. */
extern const struct step step_run_file_actions;
/* master: the add-ons that the parameters enable (hooks/steps/cluster/apply_addons.h). */
extern const struct step step_apply_addons;
/* master: no index of logs is older than keep_log_days (hooks/steps/cluster/prune_logs.h). */
extern const struct step step_prune_logs;
/* master: Elasticsearch maps the fields of applications' lines so that none is refused (log_template.h there). */
extern const struct step step_put_log_template;
/* master: Services of type LoadBalancer that choose no network are private (hooks/steps/cloud/load_balancers.h). */
extern const struct step step_default_load_balancers;
/* stop on the master: records which volumes and load balancers the cluster has in the cloud; never fails. Where no API
 * server answers, an earlier record stays as it is. */
extern const struct step step_record_cloud_resources;
/* Before the master's kubelet starts: what the record says may change from then on, so `destroy` deletes nothing by it.
 */
extern const struct step step_expire_cloud_resources;
/* destroy on the master: deletes those of that record that the cluster made, a volume only where its reclaim policy is
 * Delete; names the others. Nothing is deleted when no `stop` since the last start could read the cluster.
 * STATUS_INTERRUPTED; STATUS_CLOUD_UNREACHABLE names
 * what could not be deleted; with --force a warning does. */
extern const struct step step_delete_cloud_resources;
/* master: the certificate that `admit` shows to the API server (k8s-admission.socket). */
extern const struct step step_issue_admission_certificate;
/* systemd has read the unit files, the kernel the sysctls. */
extern const struct step step_apply_system_settings;
/* Starts what roles/ROLE.conf lists as `unit`: units without a step of their own. */
extern const struct step step_start_units;
/* Starts docker.service. */
extern const struct step step_start_docker;
/* Loads the image's container archives into Docker. */
extern const struct step step_load_images;
/* The kubelet collects no images, as it would delete what no registry can bring back: on a disk that is filling up this
 * removes images that no container uses and the machine did not bring, and loads what the machine brings and Docker
 * lacks. */
extern const struct step step_keep_images;
/* Starts kubelet.service. */
extern const struct step step_start_kubelet;
/* Restarts kubelet.service. */
extern const struct step step_restart_kubelet;

/* master: the cluster's CAs, certificates and kubeconfigs, issued once for the life of the cluster. */
extern const struct step step_issue_certificates;
/* master: renews those that expire within 30 days or do not name the addresses the API server has now. */
extern const struct step step_keep_certificates_valid;
/* master: renews all of them, due or not. */
extern const struct step step_renew_certificates;
/* master: restarts the control plane's containers, so that they read the certificates on disk. */
extern const struct step step_restart_control_plane;
/* master: the kubeconfig that is published, sealed, for the client. */
extern const struct step step_issue_client_kubeconfig;
/* master: another certificate for the client, of another group; the client's group is an administrator; the kubeconfig
 * lies, sealed, where the client gets it from after its first start. */
extern const struct step step_renew_client_kubeconfig;
extern const struct step step_bind_client;
extern const struct step step_publish_client_kubeconfig;
/* master: the key that Secrets are encrypted with in etcd, generated once; a new first key, for `renew-certs`; and
 * every Secret rewritten with the first key. */
extern const struct step step_generate_encryption_key;
extern const struct step step_rotate_encryption_key;
extern const struct step step_encrypt_secrets;
/* master: the bootstrap token's value, generated once. */
extern const struct step step_generate_token;
/* master: static pod manifests from kubeadm's configuration. */
extern const struct step step_write_static_pods;
/* master: until /readyz answers ok. */
extern const struct step step_wait_for_api_server;
/* master: scheduler and controller manager answer that they are healthy: they start after the API server. */
extern const struct step step_wait_for_control_plane;
/* master: kubeadm's configuration in the cluster, control-plane label and taint, kube-proxy and DNS. */
extern const struct step step_apply_cluster_settings;
/* master: nodes may read the kubelet's figures, for `monitor`. */
extern const struct step step_grant_metrics_access;
/* master: makes the join token valid for 30 minutes: once when the cluster is created, and again for scale-out. */
extern const struct step step_enable_token_at_create;
extern const struct step step_enable_token;

/* node, log, client: until the master's token is in the metadata. */
extern const struct step step_wait_for_token;
/* node, log: kubeadm join. */
extern const struct step step_join_cluster;

/* Annotates the node object with this VM's instance. */
extern const struct step step_annotate_node;
/* Until the node is Ready. */
extern const struct step step_wait_for_node;
/* With flannel, where the node object has another pod network than flannel has set up here (the object was restored, or
 * deleted and registered again): restarts flannel, then the pods that have addresses of the former one. Nothing else
 * can reach those. */
extern const struct step step_renew_pod_network;
/* master: sets in every node object the instance that its host has now. */
extern const struct step step_set_provider_ids;

/* client: the admin kubeconfig, opened with the client's own key, for root. */
extern const struct step step_write_kubeconfig;
/* client: a first password for root at the console. */
extern const struct step step_enable_console_login;

/* scale-out --check on the master. */
extern const struct step step_check_cluster;
extern const struct step step_check_room;
/* scale-in on the master: the pre-check, then the leaving nodes are drained and deleted. */
extern const struct step step_check_scale_in;
extern const struct step step_delete_nodes;
/* With hostnic, after it: deletes the leaving nodes' network cards. */
extern const struct step step_release_leaving_nics;

/* destroy: what must not be lost, then this node is deleted. */
extern const struct step step_check_drained;
extern const struct step step_check_log_data;
extern const struct step step_clean_linked_etcd;
/* master, with hostnic: deletes the network cards of all nodes, and releases the pod vxnets' VIPs and firewall rules.
 */
extern const struct step step_release_hostnic;
extern const struct step step_leave_cluster;

/* upgrade --check, and what upgrade has beside the steps of start. */
extern const struct step step_check_data_room;
extern const struct step step_check_version_skew;
extern const struct step step_check_health;
extern const struct step step_upgrade_control_plane;
extern const struct step step_upgrade_node;

/* restore on the master, with everything stopped; the steps of start follow. */
extern const struct step step_verify_backup;
extern const struct step step_unpack_snapshot;
extern const struct step step_restore_etcd;
extern const struct step step_restore_keys;
/* Refuses, before anything starts, to go on from a restore that was killed between etcd's data and the keys that belong
 * to it. STATUS_BACKUP. */
extern const struct step step_check_restore_finished;
/* Once the cluster runs on what was restored: from then on it is what another restore keeps as the way back. */
extern const struct step step_accept_restored;
/* Closes API watches, so that their clients list the restored cluster again. */
extern const struct step step_drop_watches;
/* Where the backup is another cluster's: deletes its nodes, service account tokens and pods. */
extern const struct step step_adopt_backup;

/* stop, in this order. */
extern const struct step step_stop_kubelet;
extern const struct step step_stop_containers;
/* Unmounts what CSI drivers have mounted for pods: data is on the volumes, and the cloud can detach them. Never fails
 * for a volume that is in use. */
extern const struct step step_unmount_volumes;
extern const struct step step_stop_docker;

#endif
