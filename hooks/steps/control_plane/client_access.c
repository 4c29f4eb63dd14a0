#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/issue.h"
#include "lib/system/file.h"

/* AppCenter registers what `metadata` prints only once, so what the client gets must hold as long as the cluster's
 * authority: kubeadm's admin.conf would end after a year. It is a user of its own, so that the audit log tells them
 * apart. */

static char *encode_file(const char *path, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    return file_read(path, 0, &text, &len, err) < 0 ? NULL : base64_encode(text, len);
}

/* JSON is YAML, which is what a kubeconfig is. */
static int make_kubeconfig(const struct run *run, char **text, struct error **err)
{
    _cleanup_free_ char *cert = NULL;
    _cleanup_secret_ char *key = NULL;
    _cleanup_free_ char *ca = encode_file(CA_CERTIFICATE, err);
    if (ca == NULL ||
        issue_client(CA_CERTIFICATE, CA_KEY, "appcenter-client", "system:masters", &cert, &key, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *cert_data = base64_encode(cert, strlen(cert));
    _cleanup_secret_ char *key_data = base64_encode(key, strlen(key));
    _cleanup_free_ char *server = xasprintf("https://%s:%d", run->facts->self->ip, API_PORT);
    _cleanup_json_ json_t *kubeconfig =
        json_pack("{ss ss s[{ss s{ss ss}}] s[{ss s{ss ss}}] s[{ss s{ss ss}}] ss}", "apiVersion", "v1", "kind", "Config",
                  "clusters", "name", run->facts->cluster.id, "cluster", "server", server, "certificate-authority-data",
                  ca, "users", "name", "appcenter-client", "user", "client-certificate-data", cert_data,
                  "client-key-data", key_data, "contexts", "name", run->facts->cluster.id, "context", "cluster",
                  run->facts->cluster.id, "user", "appcenter-client", "current-context", run->facts->cluster.id);
    _cleanup_secret_ char *json = json_dumps(kubeconfig, JSON_INDENT(2));
    *text = xasprintf("%s\n", json);
    return 0;
}

static int client_access_done(struct run *run, struct error **err)
{
    (void)run;
    (void)err;
    return access(CLIENT_KUBECONFIG, R_OK) == 0;
}

static int client_access_apply(struct run *run, struct error **err)
{
    _cleanup_secret_ char *text = NULL;
    if (make_kubeconfig(run, &text, err) < 0) {
        return -1;
    }
    return file_put_private(CLIENT_KUBECONFIG, text, err);
}

const struct step step_issue_client_kubeconfig = {"issue the client's kubeconfig", client_access_done,
                                                  client_access_apply, NULL};
