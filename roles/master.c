#include "hooks/role.h"
#include "hooks/steps/steps.h"

static const struct step *const init[] = {
    &step_parameters,   &step_directories, &step_files, &step_system_settings, &step_docker, &step_images,
    &step_certificates, &step_token_value, NULL,
};

/* The system disk may be new: all but what lies on /data is made again. */
static const struct step *const start[] = {
    &step_parameters,      &step_directories,     &step_files,        &step_system_settings,
    &step_docker,          &step_images,          &step_certificates, &step_token_value,
    &step_control_plane,   &step_kubelet,         &step_api_server,   &step_cluster_settings,
    &step_token_at_create, &step_node_annotation, &step_node_ready,   NULL,
};

static const struct step *const stop[] = {
    &step_kubelet_stop,
    &step_containers_stop,
    &step_docker_stop,
    NULL,
};

static const struct event events[] = {
    {"init", init},
    {"start", start},
    {"stop", stop},
    {NULL, NULL},
};

static const struct role master = {"master", "/data/kubernetes/hooks", events, NULL};

int main(int argc, char **argv)
{
    return hook_main(&master, argc, argv);
}
