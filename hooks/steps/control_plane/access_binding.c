#include <string.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/control_plane/client_access.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/seal.h"
#include "lib/system/file.h"

#define RBAC "/apis/rbac.authorization.k8s.io/v1"
#define BINDINGS RBAC "/clusterrolebindings"
#define BINDING "k8s-hooks:cluster-admins"

static const char *first_subject(const json_t *binding)
{
    return json_text(json_array_get(json_object_get(binding, "subjects"), 0), "name");
}

/* *binding is NULL when there is none. */
static int get_or_absent(struct run *run, const char *path, json_t **object, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    long code = 0;
    *object = NULL;
    if (run_kube(run, err) < 0) {
        return -1;
    }
    if (kube_get(run->kube, path, run_deadline(run, 30), object, &code, &failure) == 0 || code == 404) {
        return 0;
    }
    return error_move(err, &failure);
}

static int bind_done(struct run *run, struct error **err)
{
    _cleanup_free_ char *group = NULL;
    _cleanup_json_ json_t *binding = NULL;
    if (client_group(run, &group, err) < 0 || get_or_absent(run, BINDINGS "/" BINDING, &binding, err) < 0) {
        return -1;
    }
    const char *bound = first_subject(binding);
    return bound != NULL && strcmp(bound, group) == 0;
}

static json_t *subject_of(const char *group)
{
    return json_pack("{ss ss ss}", "apiGroup", "rbac.authorization.k8s.io", "kind", "Group", "name", group);
}

/* The group before stays until the next renewal, so that the client can get its new kubeconfig in time. */
static int bind_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *group = NULL;
    _cleanup_json_ json_t *binding = NULL;
    if (client_group(run, &group, err) < 0 || get_or_absent(run, BINDINGS "/" BINDING, &binding, err) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *subjects = json_pack("[o]", subject_of(group));
    const char *before = first_subject(binding);
    if (before != NULL && strcmp(before, group) != 0 && str_starts(before, CLIENT_GROUP)) {
        json_array_append_new(subjects, subject_of(before));
    }
    if (binding != NULL) {
        _cleanup_json_ json_t *patch = json_pack("{sO}", "subjects", subjects);
        return kube_merge_patch(run->kube, BINDINGS "/" BINDING, patch, run_deadline(run, 30), err);
    }
    _cleanup_json_ json_t *object =
        json_pack("{ss ss s{ss} s{ss ss ss} sO}", "apiVersion", "rbac.authorization.k8s.io/v1", "kind",
                  "ClusterRoleBinding", "metadata", "name", BINDING, "roleRef", "apiGroup", "rbac.authorization.k8s.io",
                  "kind", "ClusterRole", "name", "cluster-admin", "subjects", subjects);
    return kube_post(run->kube, BINDINGS, object, run_deadline(run, 30), NULL, err);
}

const struct step step_bind_client = {"bind the client's group", bind_done, bind_apply, NULL};

#define CONFIG_MAPS "/api/v1/namespaces/kube-public/configmaps"
#define ROLES RBAC "/namespaces/kube-public/roles"
#define ROLE_BINDINGS RBAC "/namespaces/kube-public/rolebindings"

/* Which kubeconfig is published for whom. */
static int describe(const struct run *run, char **kubeconfig, char **fingerprint, char **hash, struct error **err)
{
    size_t len = 0;
    if (file_read(CLIENT_KUBECONFIG, 0, kubeconfig, &len, err) < 0 ||
        ssh_fingerprint(run->facts->client->pub_key, fingerprint, err) < 0) {
        return -1;
    }
    *hash = sha256_hex(*kubeconfig, len);
    return 0;
}

static bool has_client(const struct run *run)
{
    return run->facts->client != NULL && run->facts->client->pub_key != NULL;
}

static bool same(const json_t *data, const char *key, const char *value)
{
    const char *text = json_text(data, key);
    return text != NULL && strcmp(text, value) == 0;
}

static int publish_done(struct run *run, struct error **err)
{
    _cleanup_secret_ char *kubeconfig = NULL;
    _cleanup_free_ char *fingerprint = NULL;
    _cleanup_free_ char *hash = NULL;
    _cleanup_json_ json_t *map = NULL;
    if (!has_client(run)) {
        return 1;
    }
    if (describe(run, &kubeconfig, &fingerprint, &hash, err) < 0 ||
        get_or_absent(run, CONFIG_MAPS "/" CLIENT_CONFIG_MAP, &map, err) < 0) {
        return -1;
    }
    const json_t *data = json_object_get(map, "data");
    return same(data, "fingerprint", fingerprint) && same(data, "sha256", hash);
}

/* Who has no certificate yet may read it, as kubeadm's cluster-info: it is sealed under the client's key. */
static int allow_reading(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *role =
        json_pack("{ss ss s{ss ss} s[{s[s] s[s] s[s] s[s]}]}", "apiVersion", "rbac.authorization.k8s.io/v1", "kind",
                  "Role", "metadata", "name", CLIENT_CONFIG_MAP, "namespace", "kube-public", "rules", "apiGroups", "",
                  "resources", "configmaps", "resourceNames", CLIENT_CONFIG_MAP, "verbs", "get");
    _cleanup_json_ json_t *binding =
        json_pack("{ss ss s{ss ss} s{ss ss ss} s[{ss ss ss}]}", "apiVersion", "rbac.authorization.k8s.io/v1", "kind",
                  "RoleBinding", "metadata", "name", CLIENT_CONFIG_MAP, "namespace", "kube-public", "roleRef",
                  "apiGroup", "rbac.authorization.k8s.io", "kind", "Role", "name", CLIENT_CONFIG_MAP, "subjects",
                  "apiGroup", "rbac.authorization.k8s.io", "kind", "User", "name", "system:anonymous");
    long code = 0; /* 409: there already */
    return kube_post(run->kube, ROLES, role, run_deadline(run, 30), &code, err) < 0
               ? -1
               : kube_post(run->kube, ROLE_BINDINGS, binding, run_deadline(run, 30), &code, err);
}

/* Who has the former key can read what was sealed under it: another key is a reason for another certificate. The group
 * before stays until the next renewal, as with each. */
static int renew_for_another_key(struct run *run, const json_t *map, struct error **err)
{
    _cleanup_free_ char *fingerprint = NULL;
    const char *before = json_text(json_object_get(map, "data"), "fingerprint");
    if (ssh_fingerprint(run->facts->client->pub_key, &fingerprint, err) < 0) {
        return -1;
    }
    if (before == NULL || strcmp(before, fingerprint) == 0) {
        return 0;
    }
    log_notice("the client has another key: its certificate is renewed");
    return step_renew_client_kubeconfig.apply(run, err) < 0 ? -1 : bind_apply(run, err);
}

static int publish_apply(struct run *run, struct error **err)
{
    _cleanup_secret_ char *kubeconfig = NULL;
    _cleanup_free_ char *fingerprint = NULL;
    _cleanup_free_ char *hash = NULL;
    _cleanup_free_ char *sealed = NULL;
    _cleanup_json_ json_t *map = NULL;
    if (!has_client(run)) {
        return 0;
    }
    if (get_or_absent(run, CONFIG_MAPS "/" CLIENT_CONFIG_MAP, &map, err) < 0 ||
        renew_for_another_key(run, map, err) < 0 || describe(run, &kubeconfig, &fingerprint, &hash, err) < 0 ||
        seal(run->facts->client->pub_key, kubeconfig, strlen(kubeconfig), &sealed, err) < 0 ||
        allow_reading(run, err) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *data =
        json_pack("{s{ss ss ss}}", "data", "fingerprint", fingerprint, "sha256", hash, "kubeconfig", sealed);
    if (map != NULL) {
        return kube_merge_patch(run->kube, CONFIG_MAPS "/" CLIENT_CONFIG_MAP, data, run_deadline(run, 30), err);
    }
    json_object_update_new(data, json_pack("{ss ss s{ss}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata", "name",
                                           CLIENT_CONFIG_MAP));
    return kube_post(run->kube, CONFIG_MAPS, data, run_deadline(run, 30), NULL, err);
}

const struct step step_publish_client_kubeconfig = {"publish the client's kubeconfig", publish_done, publish_apply,
                                                    NULL};
