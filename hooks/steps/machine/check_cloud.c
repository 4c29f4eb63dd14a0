#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "app/cloud/cloud_check.h"
#include "hooks/engine/run.h"
#include "hooks/files/cloud_state.h"
#include "hooks/files/reload_record.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"

/* A start of an accepted cluster goes on without an answer, so it waits for one no longer than it must. */
enum { LIMIT_S = 60, LIMIT_OF_ACCEPTED_S = 15 };

/* Pauses of the timer, which runs every five minutes, between queries that are refused. */
enum { SHORTEST_PAUSE_S = 300, LONGEST_PAUSE_S = 3600 };

/* Of every cluster the master's key is checked: volumes and load balancers need it. With hostnic each host with a
 * kubelet calls the API, so each must reach it. A root that is not this machine's has no network to check. */
static bool wanted(const struct run *run)
{
    return *run->root == '\0' && run->role->kubelet &&
           (run->role->control_plane || run->facts->network == NETWORK_HOSTNIC);
}

static bool vxnets_wanted(const struct run *run)
{
    return run->role->control_plane && run->facts->network == NETWORK_HOSTNIC;
}

/* The classes of machines are queried for storage classes: again when there is a role that was not, or a role's hosts
 * are of another class now. */
static void put_roles(const struct run *run, struct buffer *text)
{
    const struct facts *facts = run->facts;
    for (size_t i = 0; run->role->control_plane && i < facts->n_hosts; i++) {
        if (i == 0 || strcmp(facts->hosts[i - 1].role, facts->hosts[i].role) != 0) {
            buffer_printf(text, " %s=%d", facts->hosts[i].role, facts->hosts[i].instance_class);
        }
    }
}

/* What is checked. The machine is not part of it: a cluster that starts on new ones needs no new answer. */
static char *inputs_of(const struct run *run)
{
    const struct facts *facts = run->facts;
    const struct cloud_account account = cloud_account_of(facts);
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    _cleanup_(buffer_wipe) struct buffer text = {0};
    buffer_printf(&text, "%s %s:%d %s %s %s", account.protocol, account.host, account.port, account.zone,
                  account.access_key_id, account.secret_access_key);
    if (vxnets_wanted(run)) {
        buffer_printf(&text, " %s", facts->cluster.vxnet);
        for (char **v = vxnets; *v != NULL; v++) {
            buffer_printf(&text, " %s", *v);
        }
    }
    put_roles(run, &text);
    return sha256_hex(text.data, text.len);
}

/* The API accepted these inputs when it answered last. */
static bool accepted(const struct run *run)
{
    _cleanup_(cloud_state_clear) struct cloud_state state = {0};
    _cleanup_free_ char *inputs = inputs_of(run);
    struct pod_addresses addresses = facts_pod_addresses(run->facts);
    return cloud_state_load(run, &state) && state.status == STATUS_OK && strcmp(state.inputs, inputs) == 0 &&
           (!vxnets_wanted(run) || addresses.have >= addresses.need);
}

static int check_cloud_done(struct run *run, struct error **err)
{
    (void)err;
    return !wanted(run) || accepted(run);
}

static int query(struct run *run, int seconds, json_t **classes, struct error **err)
{
    const struct cloud_account account = cloud_account_of(run->facts);
    struct deadline deadline = run_deadline(run, seconds);
    _cleanup_(cloud_freep) struct cloud *cloud = NULL;
    if (cloud_open(&cloud, &account, err) < 0 || cloud_check_key(cloud, run->facts, deadline, classes, err) < 0) {
        return -1;
    }
    return vxnets_wanted(run) ? cloud_check_vxnets(cloud, run->facts, deadline, err) : 0;
}

/* What an earlier answer said of the machines holds on when there is none now. */
static void keep_classes(const struct run *run, json_t **classes)
{
    _cleanup_(cloud_state_clear) struct cloud_state before = {0};
    if (*classes == NULL && cloud_state_load(run, &before)) {
        *classes = json_incref(before.classes);
    }
}

/* KNOWN: the answer before was good, and holds on where there is none now. */
static int check(struct run *run, bool known, struct error **err)
{
    _cleanup_error_ struct error *refusal = NULL;
    _cleanup_(cloud_state_clear) struct cloud_state state = {.inputs = inputs_of(run)};
    int result = query(run, known ? LIMIT_OF_ACCEPTED_S : LIMIT_S, &state.classes, &refusal);
    if (known && result < 0 && (refusal->status == STATUS_CLOUD_UNREACHABLE || refusal->status == STATUS_CLOUD_QUOTA)) {
        log_warning("%s; the API accepted these settings before: going on (status %d: %s)", refusal->message,
                    (int)refusal->status, status_row((int)refusal->status)->remedy);
        return 0;
    }
    keep_classes(run, &state.classes);
    state.status = result == 0 ? STATUS_OK : (int)refusal->status;
    state.message = xstrdup(result == 0 ? "" : refusal->message);
    if (result == 0) {
        return cloud_state_save(run, &state, err);
    }
    if (refusal->status != STATUS_INTERRUPTED && cloud_state_save(run, &state, NULL) < 0) {
        log_warning("the answer of the cloud API cannot be recorded: `check` does not show it");
    }
    return error_move(err, &refusal);
}

static int check_cloud_apply(struct run *run, struct error **err)
{
    return wanted(run) ? check(run, false, err) : 0;
}

/* Seconds until the timer may repeat the query that was REFUSED last: as long as a reload had been owed by then, so
 * that the pauses double. */
static int64_t seconds_to_wait(const struct run *run, const struct cloud_state *refused)
{
    _cleanup_free_ char *why = NULL;
    int64_t since = 0;
    if (reload_record_read(run, &since, &why) == 0) {
        return 0;
    }
    int64_t owed = time_between(since, refused->time);
    int64_t pause = owed < LONGEST_PAUSE_S ? owed : LONGEST_PAUSE_S;
    int64_t passed = time_between(refused->time, (int64_t)time(NULL));
    /* A clock that was set back must not keep us waiting. */
    return pause < SHORTEST_PAUSE_S || passed < 0 || passed >= pause ? 0 : pause - passed;
}

/* The user's quota is not spent on what is refused again and again. A changed setting is queried at once. */
static int recheck_cloud_apply(struct run *run, struct error **err)
{
    _cleanup_(cloud_state_clear) struct cloud_state state = {0};
    _cleanup_free_ char *inputs = wanted(run) ? inputs_of(run) : NULL;
    if (inputs != NULL && cloud_state_load(run, &state) && state.status != STATUS_OK &&
        strcmp(state.inputs, inputs) == 0) {
        int64_t seconds = seconds_to_wait(run, &state);
        if (seconds > 0) {
            return error_new(err, status_row(state.status)->status,
                             "%s; the API is queried again in %" PRId64 " minutes, or at once by `reload`",
                             state.message, seconds / 60 + 1);
        }
    }
    return check_cloud_apply(run, err);
}

static int query_cloud_done(struct run *run, struct error **err)
{
    (void)err;
    return !wanted(run);
}

static int query_cloud_apply(struct run *run, struct error **err)
{
    return wanted(run) ? check(run, accepted(run), err) : 0;
}

const struct step step_check_cloud = {"check cloud API", check_cloud_done, check_cloud_apply, NULL};
const struct step step_recheck_cloud = {"check cloud API", check_cloud_done, recheck_cloud_apply, NULL};
const struct step step_query_cloud = {"query cloud API", query_cloud_done, query_cloud_apply, NULL};
