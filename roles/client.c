#include "app/paths.h"
#include "hooks/checks/checks.h"
#include "hooks/engine/role.h"
#include "hooks/events/events.h"
#include "hooks/events/figures.h"
#include "hooks/steps/steps.h"

/* One table for all three: an operator reruns init by hand, and the client keeps its system disk, so they do not differ. */
static const struct step *const set_up[] = {
    &step_accept_parameters,
    &step_enable_console_login,
    &step_wait_for_token,
    &step_write_files,
    &step_apply_system_settings,
    &step_start_units,
    &step_write_kubeconfig,
    NULL,
};

static const struct step *const scale[] = {
    &step_write_files,
    NULL,
};

/* Nothing runs here that would have to be stopped. */
static const struct step *const stop[] = {
    NULL,
};

static const struct check *const checks[] = {
    &check_cluster_api, &check_certificates, &check_cluster_dns, &check_clock, &check_units, &check_reload, NULL,
};

static const struct figures *const figures[] = {NULL};

static const struct event events[] = {
    {"init", set_up, NULL},
    {"start", set_up, NULL},
    {"upgrade", set_up, NULL},
    {"stop", stop, NULL},
    {"scale-out", scale, NULL},
    {"scale-in", scale, NULL},
    EVENTS_OF_EVERY_ROLE,
    {NULL, NULL, NULL},
};

static const struct role client = {
    .name = "client",
    .state = STATE_ON_SYSTEM,
    .kubeconfig = ROOT_KUBECONFIG,
    .events = events,
    .checks = checks,
    .figures = figures,
};

int main(int argc, char **argv)
{
    return hook_main(&client, argc, argv);
}
