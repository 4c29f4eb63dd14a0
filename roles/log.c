#include "hooks/checks/checks.h"
#include "hooks/engine/role.h"
#include "hooks/events/events.h"
#include "hooks/events/figures.h"
#include "hooks/steps/steps.h"

static const struct step *const init[] = {
    &step_parameters,
    &step_hostnic_check,
    &step_directories,
    &step_files,
    &step_system_settings,
    &step_units,
    &step_docker,
    &step_images,
    &step_hostnic_host,
    NULL,
};

/* The system disk may be new: all but what lies on /data is made again. */
static const struct step *const start[] = {
    &step_parameters,
    &step_hostnic_check,
    &step_directories,
    &step_token,
    &step_files,
    &step_system_settings,
    &step_units,
    &step_docker,
    &step_images,
    &step_hostnic_host,
    &step_join,
    &step_kubelet,
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

/* The master does the work; here only who is who changes. */
static const struct step *const scale[] = {
    &step_files,
    NULL,
};

static const struct step *const destroy[] = {
    &step_log_data_safe,
    &step_pods_drained,
    &step_kubelet_stop,
    &step_containers_stop,
    &step_docker_stop,
    &step_membership_removed,
    NULL,
};

static const struct step *const upgrade_check[] = {
    &step_data_room,
    NULL,
};

static const struct step *const upgrade[] = {
    &step_data_room,
    &step_parameters,
    &step_directories,
    &step_token,
    &step_files,
    &step_system_settings,
    &step_units,
    &step_docker,
    &step_images,
    &step_hostnic_host,
    &step_join,
    &step_node_upgraded,
    &step_kubelet,
    &step_node_annotation,
    &step_node_ready,
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
    &check_hostnic,
    &check_elasticsearch,
    NULL,
};

static const struct figures *const figures[] = {&figures_node, &figures_log_documents, NULL};

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

static const struct role log_role = {
    .name = "log",
    .state = "/data/kubernetes/hooks",
    .kubelet = true,
    .logs = true,
    .events = events,
    .checks = checks,
    .figures = figures,
};

int main(int argc, char **argv)
{
    return hook_main(&log_role, argc, argv);
}
