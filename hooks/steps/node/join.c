#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/system/tree.h"

/* Kept on /data: a machine that comes back with them needs no token. */
static const char kubelet_kubeconfig[] = KUBELET_KUBECONFIG;
static const char kubelet_certificate[] = KUBELET_CLIENT_CERTIFICATE;

/* An expired one, as on a machine that was off for a year, gives no access: with it the machine is no member. */
static int join_done(struct run *run, struct error **err)
{
    struct cert_info info = {0};
    (void)run;
    (void)err;
    bool lasts = access(kubelet_kubeconfig, R_OK) == 0 && cert_read(kubelet_certificate, &info, NULL) == 0 &&
                 info.not_after > time(NULL);
    cert_info_free(&info);
    return lasts;
}

static bool published(const struct run *run, struct error **err)
{
    _cleanup_token_ struct join_token token = {0};
    return facts_join_token(run->facts, &token, err) == 0;
}

static int token_done(struct run *run, struct error **err)
{
    int joined = join_done(run, err);
    return joined != 0 ? joined : published(run, NULL);
}

static int token_apply(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.token_s);
    _cleanup_error_ struct error *unfinished = NULL; /* what is wrong with the last tree, which is being written */
    log_progress("waiting for the master's token");
    while (!published(run, NULL)) {
        _cleanup_error_ struct error *waited = NULL;
        if (run_facts_wait(run, deadline, &waited) == 0) {
            error_freep(&unfinished);
            continue;
        }
        if (run_facts_unfinished(waited) && deadline_left(deadline) > 0) {
            log_info("not usable yet: %s", waited->message);
            (void)error_move(&unfinished, &waited);
            continue;
        }
        if (waited->status != STATUS_DEADLINE) {
            return error_move(err, &waited);
        }
        return error_new(
            err, STATUS_TOKEN_ABSENT,
            "the metadata holds no join token of the master (%s) after %d s: did init and metadata succeed there?%s%s",
            run->facts->master != NULL ? run->facts->master->ip : "which is absent too", run->conf->timeouts.token_s,
            unfinished != NULL ? " What it held last could not be used: " : "",
            unfinished != NULL ? unfinished->message : "");
    }
    return 0;
}

const struct step step_wait_for_token = {"wait for join token", token_done, token_apply, NULL};

/* What kubeadm prints when cluster-info is not signed with the token, or the API server does not know it: the cluster
 * signs it only with tokens it accepts. https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens */
static bool token_refused(const char *output)
{
    static const char *const signs[] = {"JWS signature", "token id", "Unauthorized"};
    for (size_t i = 0; i < ELEMENTS(signs); i++) {
        if (output != NULL && strstr(output, signs[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static int join_apply(struct run *run, struct error **err)
{
    static const char *const argv[] = {"kubeadm", "join", "--config", KUBEADM_JOIN_CONFIG, "--skip-phases=preflight",
                                       NULL};
    _cleanup_proc_ struct proc_result result = {0};
    const struct proc proc = {.argv = argv, .deadline = run->deadline};
    /* The kubelet requests a certificate only where it has none. */
    if (file_remove(kubelet_kubeconfig, NULL, err) < 0 || file_remove(kubelet_certificate, NULL, err) < 0) {
        return -1;
    }
    if (proc_run(&proc, &result, err) == 0) {
        return tree_sync(DATA, err);
    }
    if (err != NULL && (*err)->status == STATUS_COMMAND && token_refused(result.tail)) {
        (*err)->status = STATUS_TOKEN_REFUSED;
    }
    return -1;
}

const struct step step_join_cluster = {"join the cluster", join_done, join_apply, NULL};
