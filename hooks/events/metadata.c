#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/events/events.h"
#include "hooks/steps/control_plane/token.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/seal.h"
#include "lib/system/file.h"

/* Sealed, since everything in the metadata can be read on every host of the cluster. NULL when there is no client to
 * seal for. */
static int sealed_kubeconfig(const struct run *run, char **sealed, struct error **err)
{
    const struct host *client = run->facts->client;
    _cleanup_secret_ char *kubeconfig = NULL;
    size_t len = 0;
    if (client == NULL || client->pub_key == NULL) {
        log_warning("no client with a public key in the metadata: the admin kubeconfig is published for nobody");
        return 0;
    }
    return file_read(CLIENT_KUBECONFIG, 0, &kubeconfig, &len, err) < 0
               ? -1
               : seal(client->pub_key, kubeconfig, len, sealed, err);
}

int event_metadata(struct run *run, struct error **err)
{
    _cleanup_secret_ char *token = NULL;
    _cleanup_free_ char *hash = NULL;
    _cleanup_free_ char *sealed = NULL;
    if (token_read(run, &token, err) < 0 || ca_public_key_hash(CA_CERTIFICATE, &hash, err) < 0 ||
        sealed_kubeconfig(run, &sealed, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *api = xasprintf("%s:%d", run->facts->self->ip, API_PORT);
    _cleanup_json_ json_t *published =
        json_pack("{ss ss ss ss*}", "bootstrap_token", token, "ca_hash", hash, "api", api, "kubeconfig", sealed);
    _cleanup_secret_ char *text = json_dumps(published, JSON_COMPACT);
    puts(text);
    return 0;
}
