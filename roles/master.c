#include "hooks/checks/checks.h"
#include "hooks/engine/role.h"
#include "hooks/events/events.h"
#include "hooks/events/figures.h"
#include "hooks/steps/steps.h"

static const struct step *const init[] = {
    &step_parameters,
    &step_logging,
    &step_hostnic_check,
    &step_directories,
    &step_files,
    &step_system_settings,
    &step_units,
    &step_docker,
    &step_images,
    &step_hostnic_host,
    &step_certificates,
    &step_client_access,
    &step_token_value,
    NULL,
};

/* The system disk may be new: all but what lies on /data is made again. */
static const struct step *const start[] = {
    &step_parameters,
    &step_hostnic_check,
    &step_directories,
    &step_files,
    &step_system_settings,
    &step_units,
    &step_docker,
    &step_images,
    &step_hostnic_host,
    &step_certificates,
    &step_certificates_fit,
    &step_client_access,
    &step_token_value,
    &step_control_plane,
    &step_kubelet,
    &step_api_server,
    &step_cluster_settings,
    &step_provider_ids,
    &step_metrics_access,
    &step_files_settled,
    &step_addons,
    &step_token_at_create,
    &step_node_annotation,
    &step_node_ready,
    NULL,
};

static const struct step *const stop[] = {
    &step_kubelet_stop,
    &step_containers_stop,
    &step_docker_stop,
    NULL,
};

/* Runs before the new machines do: the token they join with must be honoured by then. */
static const struct step *const scale_out_check[] = {
    &step_cluster_fit,
    &step_room,
    &step_token_honoured,
    NULL,
};

static const struct step *const scale_out[] = {
    &step_files,
    &step_addons,
    NULL,
};

static const struct step *const scale_in_check[] = {
    &step_scale_in_check,
    NULL,
};

static const struct step *const scale_in[] = {
    &step_nodes_leave,
    &step_files,
    &step_addons,
    NULL,
};

static const struct step *const destroy[] = {
    &step_linked_etcd_clean,
    &step_kubelet_stop,
    &step_containers_stop,
    &step_docker_stop,
    NULL,
};

static const struct step *const upgrade_check[] = {
    &step_data_room,
    &step_version_skew,
    &step_healthy_if_running,
    NULL,
};

/* The old control plane comes up first, from the manifests on /data: kubeadm upgrades what runs. */
static const struct step *const upgrade[] = {
    &step_data_room,
    &step_version_skew,
    &step_parameters,
    &step_directories,
    &step_files,
    &step_system_settings,
    &step_units,
    &step_docker,
    &step_images,
    &step_hostnic_host,
    &step_certificates_fit,
    &step_kubelet,
    &step_api_server,
    &step_control_plane_upgraded,
    &step_api_server,
    &step_cluster_settings,
    &step_provider_ids,
    &step_metrics_access,
    &step_files_settled,
    &step_addons,
    &step_node_annotation,
    &step_node_ready,
    NULL,
};

static const struct step *const restore[] = {
    &step_parameters,
    &step_directories,
    &step_backup_sound,
    &step_kubelet_stop,
    &step_docker,
    &step_watchers_turned_away,
    &step_containers_stop,
    &step_etcd_restored,
    &step_keys_restored,
    &step_files,
    &step_system_settings,
    &step_units,
    &step_images,
    &step_certificates_fit,
    &step_control_plane,
    &step_kubelet,
    &step_api_server,
    &step_cluster_settings,
    &step_moved_in,
    &step_provider_ids,
    &step_metrics_access,
    &step_files_settled,
    &step_addons,
    &step_node_annotation,
    &step_node_ready,
    NULL,
};

static const struct step *const renew_certs[] = {
    &step_certificates_renewed,
    &step_control_plane_restarted,
    &step_api_server,
    &step_kubelet_restarted,
    &step_node_ready,
    NULL,
};

static const struct check *const checks[] = {
    &check_docker,
    &check_kubelet,
    &check_kubelet_healthz,
    &check_api_server,
    &check_node_ready,
    &check_certificates,
    &check_data_space,
    &check_data_inodes,
    &check_clock,
    &check_hostnic,
    NULL,
};

static const struct figures *const figures[] = {&figures_node, &figures_api_server, NULL};

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
    {"metadata", NULL, event_metadata},
    {"backup", NULL, event_backup},
    {"delete_snapshot", NULL, event_delete_snapshot},
    {"prune-images", NULL, event_prune_images},
    EVENTS_OF_EVERY_ROLE,
    {NULL, NULL, NULL},
};

static const struct role master = {
    .name = "master",
    .state = "/data/kubernetes/hooks",
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
