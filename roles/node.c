/* Serves ssd_node too: its facts differ (a taint), its steps do not. */
#include "app/paths.h"
#include "hooks/checks/checks.h"
#include "hooks/engine/role.h"
#include "hooks/events/events.h"
#include "hooks/events/figures.h"
#include "hooks/steps/steps.h"

static const struct step *const init[] = {
    &step_accept_parameters,
    &step_check_cloud,
    &step_make_directories,
    &step_write_files,
    &step_apply_system_settings,
    &step_start_units,
    &step_start_docker,
    &step_load_images,
    &step_install_hostnic,
    NULL,
};

/* The system disk may be new: all but what lies on /data is made again. */
static const struct step *const start[] = {
    &step_accept_parameters,
    &step_query_cloud,
    &step_make_directories,
    &step_wait_for_token,
    &step_write_files,
    &step_apply_system_settings,
    &step_start_units,
    &step_start_docker,
    &step_load_images,
    &step_install_hostnic,
    &step_release_former_nics,
    &step_join_cluster,
    &step_start_kubelet,
    &step_annotate_node,
    &step_wait_for_node,
    &step_renew_pod_network,
    NULL,
};

static const struct step *const stop[] = {
    &step_stop_kubelet,
    &step_stop_containers,
    &step_stop_docker,
    &step_unmount_volumes,
    NULL,
};

/* The master does the work; here only who is who changes. */
static const struct step *const scale[] = {
    &step_write_files,
    NULL,
};

/* Runs after scale-in and stop, and when a cluster is deleted without any API server: nothing here needs one. */
static const struct step *const destroy[] = {
    &step_check_drained,
    &step_stop_kubelet,
    &step_stop_containers,
    &step_stop_docker,
    &step_leave_cluster,
    NULL,
};

static const struct step *const upgrade_check[] = {
    &step_check_data_room,
    NULL,
};

static const struct step *const upgrade[] = {
    &step_check_data_room,
    &step_accept_parameters,
    &step_make_directories,
    &step_wait_for_token,
    &step_write_files,
    &step_apply_system_settings,
    &step_start_units,
    &step_start_docker,
    &step_load_images,
    &step_install_hostnic,
    &step_release_former_nics,
    &step_join_cluster,
    &step_upgrade_node,
    &step_start_kubelet,
    &step_annotate_node,
    &step_wait_for_node,
    &step_renew_pod_network,
    NULL,
};

static const struct check *const checks[] = {
    &check_docker,
    &check_kubelet,
    &check_kubelet_healthz,
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

static const struct figures *const figures[] = {&figures_node, NULL};

static const struct event events[] = {
    {"init", init, NULL},
    {"start", start, NULL},
    {"stop", stop, NULL},
    {"scale-out", scale, NULL},
    {"scale-in", scale, NULL},
    {"destroy", destroy, NULL},
    {"upgrade --check", upgrade_check, NULL},
    {"upgrade", upgrade, NULL},
    {"prune-images", NULL, event_prune_images},
    EVENTS_OF_EVERY_ROLE,
    {NULL, NULL, NULL},
};

static const struct role node = {
    .name = "node",
    .state = STATE_ON_DATA,
    .kubelet = true,
    .events = events,
    .checks = checks,
    .figures = figures,
};

int main(int argc, char **argv)
{
    return hook_main(&node, argc, argv);
}
