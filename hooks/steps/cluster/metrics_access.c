#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"

/* The kubelet has the API server authorize whoever reads its figures: nodes are not by themselves. Reading is all this
 * gives, and it gives it on every node, as there is no rule that names one's own. */
#define NAME "k8s-hooks:node-figures"
#define RBAC "/apis/rbac.authorization.k8s.io/v1"

static int metrics_access_done(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *binding = NULL;
    _cleanup_error_ struct error *why = NULL;
    struct deadline deadline = run_deadline(run, run->conf->timeouts.api_s);
    long code = 0;
    if (run_kube(run, err) < 0) {
        return -1;
    }
    if (kube_get(run->kube, RBAC "/clusterrolebindings/" NAME, deadline, &binding, &code, &why) == 0) {
        return 1;
    }
    return code == 404 ? 0 : error_move(err, &why);
}

static int metrics_access_apply(struct run *run, struct error **err)
{
    struct deadline deadline = run_deadline(run, run->conf->timeouts.api_s);
    long code = 0; /* 409: a run that was killed had made it */
    _cleanup_json_ json_t *role =
        json_pack("{ss ss s{ss} s[{s[s] s[ss] s[s]}]}", "apiVersion", "rbac.authorization.k8s.io/v1", "kind",
                  "ClusterRole", "metadata", "name", NAME, "rules", "apiGroups", "", "resources", "nodes/stats",
                  "nodes/metrics", "verbs", "get");
    _cleanup_json_ json_t *binding =
        json_pack("{ss ss s{ss} s{ss ss ss} s[{ss ss ss}]}", "apiVersion", "rbac.authorization.k8s.io/v1", "kind",
                  "ClusterRoleBinding", "metadata", "name", NAME, "roleRef", "apiGroup", "rbac.authorization.k8s.io",
                  "kind", "ClusterRole", "name", NAME, "subjects", "apiGroup", "rbac.authorization.k8s.io", "kind",
                  "Group", "name", "system:nodes");
    if (kube_post(run->kube, RBAC "/clusterroles", role, deadline, &code, err) < 0) {
        return -1;
    }
    return kube_post(run->kube, RBAC "/clusterrolebindings", binding, deadline, &code, err);
}

const struct step step_grant_metrics_access = {"grant access to metrics", metrics_access_done, metrics_access_apply,
                                               NULL};
