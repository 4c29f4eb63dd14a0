#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/clients/kubeconfig.h"
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

/* kubeadm removes it when the kubelet has its own: one that is there is of a join that was interrupted. */
static const char bootstrap_kubeconfig[] = KUBERNETES_DIRECTORY "/bootstrap-kubelet.conf";

/* A kubelet does not start without. kubeadm join writes it once, and leaves one that is there as it is. */
static const char client_ca[] = CA_CERTIFICATE;

static bool certificate_lasts(const char *path)
{
    struct cert_info info = {0};
    bool lasts = cert_read(path, &info, NULL) == 0 && info.not_after > time(NULL);
    cert_info_free(&info);
    return lasts;
}

/* An expired certificate, as on a machine that was off for a year, gives no access; nor does a file that a power cut
 * left empty. With such the machine is not a member. */
static bool is_member(void)
{
    struct kubeconfig config = {0};
    bool readable = kubeconfig_read(kubelet_kubeconfig, &config, NULL) == 0;
    kubeconfig_free(&config);
    return readable && certificate_lasts(kubelet_certificate) && certificate_lasts(client_ca);
}

static int join_done(struct run *run, struct error **err)
{
    (void)run;
    (void)err;
    return is_member() && access(bootstrap_kubeconfig, F_OK) < 0;
}

static bool published(const struct run *run, struct error **err)
{
    _cleanup_token_ struct join_token token = {0};
    return facts_join_token(run->facts, &token, err) == 0;
}

static int token_done(struct run *run, struct error **err)
{
    (void)err;
    return is_member() || published(run, NULL);
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

/* kubeadm does not join a node again that the API shows as Ready. One whose machine lost its power is shown so until
 * its lease expires: 40 s by default (--node-monitor-grace-period of the controller manager). */
static bool still_ready(const char *output)
{
    return output != NULL && strstr(output, "and status \"Ready\" already exists") != NULL;
}

enum { STILL_READY_S = 90, AGAIN_MS = 5000 };

static int kubeadm_join(struct run *run, struct error **err)
{
    static const char *const argv[] = {"kubeadm", "join", "--config", KUBEADM_JOIN_CONFIG, "--skip-phases=preflight",
                                       NULL};
    const struct proc proc = {.argv = argv, .deadline = run->deadline};
    struct deadline deadline = run_deadline(run, STILL_READY_S);
    for (;;) {
        _cleanup_error_ struct error *failure = NULL;
        _cleanup_proc_ struct proc_result result = {0};
        if (proc_run(&proc, &result, &failure) == 0) {
            return 0;
        }
        if (failure->status != STATUS_COMMAND || !still_ready(result.tail) || deadline_left(deadline) == 0) {
            failure->status = failure->status == STATUS_COMMAND && token_refused(result.tail) ? STATUS_TOKEN_REFUSED
                                                                                              : failure->status;
            return error_move(err, &failure);
        }
        log_progress("waiting until the API no longer shows this node, which lost its keys, as Ready");
        if (run_pause(AGAIN_MS, run->deadline, err) < 0) {
            return -1;
        }
    }
}

static int join_apply(struct run *run, struct error **err)
{
    /* Once the node is Ready, kubeadm refuses to join it again. What it would have done yet is to annotate the node
     * (step_annotate_node does) and to remove this, which holds the token. */
    if (is_member()) {
        log_notice("an interrupted join is finished");
        return file_remove(bootstrap_kubeconfig, NULL, err);
    }
    /* The kubelet requests a certificate only where it has none, and kubeadm writes the CA only where there is none. */
    if (file_remove(kubelet_kubeconfig, NULL, err) < 0 || file_remove(kubelet_certificate, NULL, err) < 0 ||
        file_remove(client_ca, NULL, err) < 0 || kubeadm_join(run, err) < 0) {
        return -1;
    }
    return tree_sync(DATA, err);
}

const struct step step_join_cluster = {"join the cluster", join_done, join_apply, NULL};
