#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/clients/kubeconfig.h"
#include "hooks/engine/run.h"
#include "hooks/steps/control_plane/client_access.h"
#include "hooks/steps/steps.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/issue.h"
#include "lib/system/file.h"

/* AppCenter registers what `metadata` prints only once, so the client's certificate must not expire before the CA:
 * kubeadm's admin.conf would expire after a year. It is a user of its own, so that the audit log keeps them apart, and
 * of a group of its own, which a ClusterRoleBinding makes an administrator (access_binding.c): unlike system:masters,
 * that can be taken back. Each certificate that is issued in the place of another one has the next group. */

static char *encode_file(const char *path, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    return file_read(path, 0, &text, &len, err) < 0 ? NULL : base64_encode(text, len);
}

/* JSON is YAML, which is what a kubeconfig is. */
static int make_kubeconfig(const struct run *run, const char *group, char **text, struct error **err)
{
    _cleanup_free_ char *cert = NULL;
    _cleanup_secret_ char *key = NULL;
    _cleanup_free_ char *ca = encode_file(CA_CERTIFICATE, err);
    if (ca == NULL || issue_client(CA_CERTIFICATE, CA_KEY, "appcenter-client", group, &cert, &key, err) < 0) {
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

int client_group(const struct run *run, char **group, struct error **err)
{
    struct kubeconfig config __attribute__((cleanup(kubeconfig_free))) = {0};
    struct cert_info info = {0};
    _cleanup_free_ char *path = run_path(run, CLIENT_KUBECONFIG);
    if (kubeconfig_read(path, &config, err) < 0) {
        return -1;
    }
    if (config.cert == NULL || cert_parse(config.cert, strlen(config.cert), &info, err) < 0) {
        return config.cert != NULL ? -1 : error_new(err, STATUS_CRYPTO, "%s holds no certificate", path);
    }
    *group = STEAL(info.organization);
    cert_info_free(&info);
    return 0;
}

/* The number at the end of the group; 0 for another group, as system:masters of older clusters. */
static long generation_of(const char *group)
{
    long number = 0;
    return str_starts(group, CLIENT_GROUP) && str_number(group + strlen(CLIENT_GROUP), 1, 1000000, &number) ? number
                                                                                                            : 0;
}

static int client_access_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_free_ char *group = NULL;
    return client_group(run, &group, NULL) == 0 && generation_of(group) > 0;
}

static int client_access_apply(struct run *run, struct error **err)
{
    _cleanup_secret_ char *text = NULL;
    _cleanup_free_ char *before = NULL;
    long last = client_group(run, &before, NULL) == 0 ? generation_of(before) : 0;
    _cleanup_free_ char *group = xasprintf(CLIENT_GROUP "%ld", last + 1);
    if (make_kubeconfig(run, group, &text, err) < 0) {
        return -1;
    }
    return file_put_private(CLIENT_KUBECONFIG, text, err);
}

const struct step step_issue_client_kubeconfig = {"issue the client's kubeconfig", client_access_done,
                                                  client_access_apply, NULL};
const struct step step_renew_client_kubeconfig = {"renew the client's kubeconfig", NULL, client_access_apply, NULL};
