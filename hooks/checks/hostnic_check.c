#include <inttypes.h>
#include <time.h>

#include "hooks/checks/checks.h"
#include "hooks/clients/pods.h"
#include "hooks/engine/run.h"
#include "hooks/files/cloud_state.h"

#define ACCEPTED "the cloud API accepted the settings %" PRId64 " minutes ago"

enum { FEW_ADDRESSES = 30 };

static int64_t minutes_since(const struct cloud_state *state)
{
    int64_t seconds = time_between(state->time, (int64_t)time(NULL));
    return seconds < 0 ? 0 : seconds / 60;
}

void pod_addresses_find(int64_t left, int64_t all, int64_t minutes, struct finding *finding)
{
    if (all == 0) {
        finding_warns(finding, "read the log of hostnic-controller in kube-system",
                      "hostnic has no addresses for pods yet");
    } else if (left < FEW_ADDRESSES) {
        finding_warns(finding, "add a vxnet to pod_vxnets; none can be removed later",
                      "%" PRId64 " of %" PRId64 " pod addresses are left", left, all);
    } else {
        finding_ok(finding, ACCEPTED ", %" PRId64 " of %" PRId64 " pod addresses are left", minutes, left, all);
    }
}

/* Pods that wait for an address, and how many addresses are left before pods have to. */
static void probe_addresses(const struct check_context *context, const struct cloud_state *state,
                            struct finding *finding)
{
    static const char refused[] = "look at the quota of network cards and at the pod vxnets on the console; "
                                  "the pod starts as soon as the cloud has given its node a card";
    _cleanup_free_ char *refusal = NULL;
    struct kube *kube __attribute__((cleanup(kube_freep))) = NULL;
    struct error *err = NULL;
    int64_t left = 0;
    int64_t all = 0;
    if (run_kube_open(context->run, &kube, &err) < 0 ||
        pod_addresses_left(kube, context->run->facts, context->deadline, &left, &all, &err) < 0 ||
        pod_address_refusal(kube, context->run->facts, context->deadline, &refusal, &err) < 0) {
        finding_error(finding, "see `kubectl -n kube-system get pods -l app=hostnic-controller` on the client", err);
    } else if (refusal != NULL) {
        finding_warns(finding, refused, "%s", refusal);
    } else {
        pod_addresses_find(left, all, minutes_since(state), finding);
    }
}

static void probe_hostnic(const struct check_context *context, struct finding *finding)
{
    const struct run *run = context->run;
    bool needed = run->facts->network == NETWORK_HOSTNIC;
    _cleanup_(cloud_state_clear) struct cloud_state state = {0};
    bool known = cloud_state_load(run, &state);
    if (!needed && !run->role->control_plane) {
        finding_ok(finding, "hostnic is not used");
    } else if (!known) {
        finding_warns(finding, "run `start`, which queries the cloud API", "the cloud API was not queried yet");
    } else if (state.status != STATUS_OK) {
        const struct status_row *row = status_row(state.status);
        finding_fails(finding, row->remedy, "%s", *state.message == '\0' ? row->english : state.message);
    } else if (needed && run->role->control_plane) {
        probe_addresses(context, &state, finding);
    } else {
        finding_ok(finding, ACCEPTED, minutes_since(&state));
    }
}

const struct check check_hostnic = {.name = "hostnic", .severity = WARNS, .probe = probe_hostnic};
