#include "app/facts/facts.h"

#include <string.h>

#include "lib/core/json.h"
#include "lib/core/syntax.h"
#include "lib/core/util.h"
#include "lib/crypto/crypto.h"

static int unusable(struct error **err, const char *field, const char *needed)
{
    return error_new(
        err, STATUS_METADATA_INVALID,
        "metadata: the master's token: %s must be %s: run `k8s-master metadata` on the master to see what it "
        "publishes",
        field, needed);
}

static bool ca_hash_valid(const char *hash)
{
    return str_starts(hash, "sha256:") && syntax_word(hash + strlen("sha256:"), 64, 64, "0123456789abcdef");
}

int facts_join_token(const struct facts *facts, struct join_token *token, struct error **err)
{
    if (facts->master == NULL || facts->master->token == NULL) {
        return error_new(
            err, STATUS_TOKEN_ABSENT,
            "metadata: the master has no token yet: it is published when init has succeeded on the master");
    }
    _cleanup_json_ json_t *object = json_loads(facts->master->token, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(object)) {
        return unusable(err, "it", "a JSON object");
    }
    const char *api = json_text_or(object, "api", "");
    const char *kubeconfig = json_text_or(object, "kubeconfig", "");
    _cleanup_free_ char *host = NULL;
    int port = 0;
    if (!syntax_host_port(api, &host, &port)) {
        return unusable(err, "api", "host:port");
    }
    if (!bootstrap_token_valid(json_text_or(object, "bootstrap_token", ""))) {
        return unusable(err, "bootstrap_token", "a bootstrap token");
    }
    if (!ca_hash_valid(json_text_or(object, "ca_hash", ""))) {
        return unusable(err, "ca_hash", "sha256: and 64 hexadecimal digits");
    }
    token->api = xstrdup(api);
    token->bootstrap = xstrdup(json_text_or(object, "bootstrap_token", ""));
    token->ca_hash = xstrdup(json_text_or(object, "ca_hash", ""));
    token->kubeconfig = *kubeconfig == '\0' ? NULL : xstrdup(kubeconfig);
    return 0;
}

void join_token_free(struct join_token *token)
{
    free(token->api);
    util_wipe_freep(&token->bootstrap);
    free(token->ca_hash);
    free(token->kubeconfig);
    *token = (struct join_token){0};
}
