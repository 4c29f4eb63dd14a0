#include "hooks/steps/control_plane/kube_proxy.h"

#include <string.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "lib/crypto/crypto.h"
#include "lib/system/proc.h"

/* A changed ConfigMap replaces no pods by itself; a changed annotation of their template does, one after the other. */
static int replace_outdated_pods(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.api_s);
    _cleanup_json_ json_t *configuration = NULL;
    if (run_kube(run, err) < 0 || kube_get(run->kube, "/api/v1/namespaces/kube-system/configmaps/kube-proxy", deadline,
                                           &configuration, NULL, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *data = json_dumps(json_object_get(configuration, "data"), JSON_SORT_KEYS);
    _cleanup_free_ char *hash = sha256_hex(data == NULL ? "" : data, data == NULL ? 0 : strlen(data));
    _cleanup_json_ json_t *patch = json_pack("{s:{s:{s:{s:{s:s}}}}}", "spec", "template", "metadata", "annotations",
                                             "k8s-hooks/configuration", hash);
    return kube_merge_patch(run->kube, "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy", patch, deadline,
                            err);
}

/* The file is a part of the DaemonSet, which the client alone would find incomplete. */
int kube_proxy_apply(struct run *run, struct error **err)
{
    return proc_exec(run->deadline, err, "kubectl", "--kubeconfig", ADMIN_KUBECONFIG, "apply", "--server-side",
                     "--force-conflicts", "--validate=false", "--field-manager=k8s-hooks",
                     "--filename=" KUBE_PROXY_MANIFEST, (char *)NULL) < 0
               ? -1
               : replace_outdated_pods(run, err);
}
