#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/crypto/seal.h"
#include "lib/system/file.h"

/* AppCenter lays the private half of pub_key here ("passphraseless" in the developer guide). */
static const char private_key[] = "/root/.ssh/id_rsa";

static int open_kubeconfig(const struct run *run, char **text, size_t *len, struct error **err)
{
    _cleanup_token_ struct join_token token = {0};
    if (facts_join_token(run->facts, &token, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *key = run_path_followed(run, private_key);
    if (token.kubeconfig == NULL) {
        return error_new(err, STATUS_CRYPTO,
                         "the master published no kubeconfig for this client: it had no pub_key then");
    }
    return unseal(key, token.kubeconfig, text, len, err);
}

static int with_kubeconfig(struct run *run, int (*use)(const struct file_spec *, struct error **), struct error **err)
{
    _cleanup_secret_ char *text = NULL;
    size_t len = 0;
    if (open_kubeconfig(run, &text, &len, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *path = run_path(run, ROOT_KUBECONFIG);
    const struct file_spec spec = {
        .path = path, .data = text, .len = len, .mode = 0600, .uid = geteuid(), .gid = getegid()};
    return use(&spec, err);
}

static int put(const struct file_spec *spec, struct error **err)
{
    return file_put(spec, NULL, err);
}

static int client_kubeconfig_done(struct run *run, struct error **err)
{
    return with_kubeconfig(run, file_same, err);
}

static int client_kubeconfig_apply(struct run *run, struct error **err)
{
    return with_kubeconfig(run, put, err);
}

const struct step step_write_kubeconfig = {"write root's kubeconfig", client_kubeconfig_done, client_kubeconfig_apply,
                                           NULL};
