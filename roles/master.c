#include "app/paths.h"
#include "hooks/checks/checks.h"
#include "hooks/engine/role.h"
#include "hooks/events/events.h"
#include "hooks/events/figures.h"
#include "hooks/steps/steps.h"

static const struct step *const init[] = {
    &step_accept_parameters,
    &step_probe_elasticsearch,
    &step_check_cloud,
    &step_make_directories,
    &step_write_files,
    &step_apply_system_settings,
    &step_issue_admission_certificate,
    &step_start_units,
    &step_start_docker,
    &step_load_images,
    &step_install_hostnic,
    &step_issue_certificates,
    &step_generate_encryption_key,
    &step_issue_client_kubeconfig,
    &step_generate_token,
    NULL,
};

/* The system disk may be new: all but what lies on /data is made again. */
static const struct step *const start[] = {
    &step_check_restore_finished,
    &step_accept_parameters,
    &step_query_cloud,
    &step_make_directories,
    &step_write_files,
    &step_apply_system_settings,
    &step_issue_admission_certificate,
    &step_start_units,
    &step_start_docker,
    &step_load_images,
    &step_install_hostnic,
    &step_release_former_nics,
    &step_issue_certificates,
    &step_generate_encryption_key,
    &step_keep_certificates_valid,
    &step_issue_client_kubeconfig,
    &step_generate_token,
    &step_write_static_pods,
    &step_expire_cloud_resources,
    &step_start_kubelet,
    &step_wait_for_api_server,
    &step_encrypt_secrets,
    &step_apply_cluster_settings,
    &step_set_provider_ids,
    &step_grant_metrics_access,
    &step_bind_client,
    &step_publish_client_kubeconfig,
    &step_run_file_actions,
    &step_apply_addons,
    &step_enable_token_at_create,
    &step_annotate_node,
    &step_wait_for_control_plane,
    &step_wait_for_node,
    &step_renew_pod_network,
    &step_accept_restored,
    NULL,
};

static const struct step *const stop[] = {
    &step_record_cloud_resources,
    &step_stop_kubelet,
    &step_stop_containers,
    &step_stop_docker,
    &step_unmount_volumes,
    NULL,
};

/* Runs before the new machines do: the token they join with must be valid by then. */
static const struct step *const scale_out_check[] = {
    &step_check_cluster,
    &step_check_room,
    &step_enable_token,
    NULL,
};

static const struct step *const scale_out[] = {
    &step_write_files,
    &step_apply_addons,
    NULL,
};

static const struct step *const scale_in_check[] = {
    &step_check_scale_in,
    NULL,
};

/* The pre-check again: between both the cluster goes on. */
static const struct step *const scale_in[] = {
    &step_check_scale_in,
    &step_delete_nodes,
    &step_release_leaving_nics,
    &step_write_files,
    &step_apply_addons,
    NULL,
};

/* Runs after stop. What hostnic has goes first: that step only warns, and a forced deletion ends with the first that
 * fails. The keys in a linked etcd go when nothing writes there any more. */
static const struct step *const destroy[] = {
    &step_stop_kubelet,
    &step_stop_containers,
    &step_release_hostnic,
    &step_delete_cloud_resources,
    &step_clean_linked_etcd,
    &step_stop_docker,
    NULL,
};

static const struct step *const upgrade_check[] = {
    &step_check_data_room,
    &step_check_version_skew,
    &step_check_health,
    NULL,
};

/* The old control plane comes up first, from the manifests on /data: kubeadm upgrades what runs. */
static const struct step *const upgrade[] = {
    &step_check_data_room,
    &step_check_version_skew,
    &step_check_restore_finished,
    &step_accept_parameters,
    &step_make_directories,
    &step_write_files,
    &step_apply_system_settings,
    &step_issue_admission_certificate,
    &step_start_units,
    &step_start_docker,
    &step_load_images,
    &step_install_hostnic,
    &step_release_former_nics,
    &step_keep_certificates_valid,
    &step_generate_encryption_key,
    &step_issue_client_kubeconfig,
    &step_expire_cloud_resources,
    &step_start_kubelet,
    &step_wait_for_api_server,
    &step_upgrade_control_plane,
    &step_wait_for_api_server,
    &step_encrypt_secrets,
    &step_apply_cluster_settings,
    &step_set_provider_ids,
    &step_grant_metrics_access,
    &step_bind_client,
    &step_publish_client_kubeconfig,
    &step_run_file_actions,
    &step_apply_addons,
    &step_annotate_node,
    &step_wait_for_control_plane,
    &step_wait_for_node,
    &step_renew_pod_network,
    &step_accept_restored,
    NULL,
};

static const struct step *const restore[] = {
    &step_accept_parameters,
    &step_make_directories,
    &step_verify_backup,
    &step_unpack_snapshot,
    &step_stop_kubelet,
    &step_start_docker,
    &step_drop_watches,
    &step_stop_containers,
    &step_restore_etcd,
    &step_restore_keys,
    &step_write_files,
    &step_apply_system_settings,
    &step_issue_admission_certificate,
    &step_start_units,
    &step_load_images,
    &step_keep_certificates_valid,
    &step_generate_encryption_key,
    &step_write_static_pods,
    &step_expire_cloud_resources,
    &step_start_kubelet,
    &step_wait_for_api_server,
    &step_set_provider_ids,
    &step_encrypt_secrets,
    &step_apply_cluster_settings,
    &step_adopt_backup,
    &step_grant_metrics_access,
    &step_bind_client,
    &step_publish_client_kubeconfig,
    &step_run_file_actions,
    &step_apply_addons,
    &step_annotate_node,
    &step_wait_for_control_plane,
    &step_wait_for_node,
    &step_renew_pod_network,
    &step_accept_restored,
    NULL,
};

static const struct step *const prune_logs[] = {
    &step_put_log_template,
    &step_prune_logs,
    NULL,
};

static const struct step *const renew_certs[] = {
    &step_renew_certificates,
    &step_rotate_encryption_key,
    &step_restart_control_plane,
    &step_wait_for_api_server,
    &step_encrypt_secrets,
    &step_renew_client_kubeconfig,
    &step_bind_client,
    &step_publish_client_kubeconfig,
    &step_restart_kubelet,
    &step_wait_for_control_plane,
    &step_wait_for_node,
    NULL,
};

static const struct check *const checks[] = {
    &check_docker,
    &check_kubelet,
    &check_kubelet_healthz,
    &check_etcd,
    &check_api_server,
    &check_scheduler,
    &check_controller_manager,
    &check_node_ready,
    &check_certificates,
    &check_data_space,
    &check_data_inodes,
    &check_clock,
    &check_metadata_guard,
    &check_units,
    &check_interfaces,
    &check_pod_network,
    &check_reload,
    &check_hostnic,
    NULL,
};

static const struct figures *const figures[] = {&figures_node,          &figures_etcd,          &figures_api_server,
                                               &figures_logs_given_up, &figures_pod_addresses, NULL};

static const struct event events[] = {
    {"init", init, NULL},
    {"start", start, NULL},
    {"stop", stop, NULL},
    {"scale-out --check", scale_out_check, NULL},
    {"scale-out", scale_out, NULL},
    {"scale-in --check", scale_in_check, NULL},
    {"scale-in", scale_in, NULL},
    {"destroy", destroy, NULL},
    {"upgrade --check", upgrade_check, NULL},
    {"upgrade", upgrade, NULL},
    {"restore", restore, NULL},
    {"renew-certs", renew_certs, NULL},
    {"prune-logs", prune_logs, NULL},
    {"metadata", NULL, event_metadata},
    {"admit", NULL, event_admit},
    {"backup", NULL, event_backup},
    {"delete_snapshot", NULL, event_delete_snapshot},
    {"compact-etcd", NULL, event_compact_etcd},
    {"prune-images", NULL, event_prune_images},
    EVENTS_OF_EVERY_ROLE,
    {NULL, NULL, NULL},
};

static const struct role master = {
    .name = "master",
    .state = STATE_ON_DATA,
    .kubelet = true,
    .control_plane = true,
    .events = events,
    .checks = checks,
    .figures = figures,
};

int main(int argc, char **argv)
{
    return hook_main(&master, argc, argv);
}
