#include "hooks/steps/control_plane/token.h"

#include <errno.h>
#include <string.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/engine/stamp.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

int token_read(const struct run *run, char **token, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, "bootstrap-token");
    size_t len = 0;
    if (file_read(path, 256, token, &len, err) < 0) {
        return errno != ENOENT
                   ? -1
                   : error_new(err, STATUS_TOKEN_ABSENT, "there is no token in %s: run `k8s-master init` first", path);
    }
    return 0;
}

static int token_value_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_secret_ char *token = NULL;
    return token_read(run, &token, NULL) == 0 && bootstrap_token_valid(token);
}

/* AppCenter registers the token once: where the file is lost, the value to keep is the one in the metadata, if it was
 * published by this cluster. NULL where it was not. */
static char *published_token(const struct run *run)
{
    _cleanup_token_ struct join_token published = {0};
    _cleanup_free_ char *hash = NULL;
    _cleanup_free_ char *ca = run_path(run, CA_CERTIFICATE);
    if (run->facts->master != run->facts->self || facts_join_token(run->facts, &published, NULL) < 0 ||
        ca_public_key_hash(ca, &hash, NULL) < 0 || strcmp(hash, published.ca_hash) != 0) {
        return NULL;
    }
    return STEAL(published.bootstrap);
}

static int token_value_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, "bootstrap-token");
    _cleanup_secret_ char *token = published_token(run);
    if (token == NULL && bootstrap_token_new(&token, err) < 0) {
        return -1;
    }
    return file_put_private(path, token, err);
}

const struct step step_generate_token = {"generate join token", token_value_done, token_value_apply, NULL};

/* The lost file of the token that machines will join with; a new token would be nobody's. */
static int recover_token(struct run *run, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, "bootstrap-token");
    _cleanup_secret_ char *token = token_value_done(run, NULL) ? NULL : published_token(run);
    return token == NULL ? 0 : file_put_private(path, token, err);
}

/* kubeadm takes tokens only from a configuration file or its command line; the file keeps it out of the latter. */
static int write_token_config(const struct run *run, const char *path, struct error **err)
{
    _cleanup_secret_ char *token = NULL;
    if (token_read(run, &token, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *span = xasprintf("%dm0s", TOKEN_VALID_MINUTES);
    const json_t *versions = run->facts->versions;
    _cleanup_free_ char *api = xasprintf("kubeadm.k8s.io/%s", json_text(versions, "kubeadm_api"));
    _cleanup_json_ json_t *init =
        json_pack("{ss ss s[{ss ss ss s[ss] s[s]}]}", "apiVersion", api, "kind", "InitConfiguration", "bootstrapTokens",
                  "token", token, "ttl", span, "description", "joining of AppCenter's nodes", "usages", "signing",
                  "authentication", "groups", "system:bootstrappers:kubeadm:default-node-token");
    _cleanup_json_ json_t *cluster = json_pack("{ss ss sO}", "apiVersion", api, "kind", "ClusterConfiguration",
                                               "kubernetesVersion", json_object_get(versions, "kubernetes"));
    _cleanup_secret_ char *first = json_dumps(init, 0);
    _cleanup_free_ char *second = json_dumps(cluster, 0);
    _cleanup_secret_ char *text = xasprintf("%s\n---\n%s\n", first, second);
    return file_put_private(path, text, err);
}

static int enable_token_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, "kubeadm-token.yaml");
    if (recover_token(run, err) < 0 || write_token_config(run, path, err) < 0) {
        return -1;
    }
    int made = proc_exec(run->deadline, err, "kubeadm", "init", "phase", "bootstrap-token", "--config", path, NULL);
    (void)file_remove(path, NULL, NULL);
    if (made == 0) {
        log_info("join token valid for %d minutes", TOKEN_VALID_MINUTES);
    }
    return made;
}

const struct step step_enable_token = {"enable join token", NULL, enable_token_apply, NULL};

static int token_at_create_done(struct run *run, struct error **err)
{
    (void)err;
    return stamp_same(run, "token-at-create", "honoured");
}

static int token_at_create_apply(struct run *run, struct error **err)
{
    return enable_token_apply(run, err) < 0 ? -1 : stamp_put(run, "token-at-create", "honoured", err);
}

const struct step step_enable_token_at_create = {"enable join token at creation", token_at_create_done,
                                                 token_at_create_apply, NULL};
