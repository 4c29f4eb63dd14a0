#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/engine/stamp.h"
#include "hooks/steps/control_plane/cluster_keys.h"
#include "hooks/steps/control_plane/kubeadm.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

/* "renewed when within 30 days of their end": kubeadm's last for a year. */
enum { RENEW_DAYS = 30 };

#define PKI PKI_DIRECTORY "/"

/* What a killed event leaves there are keys of the cluster's administrator: the next event removes them. */
#define MADE_KUBECONFIGS KUBERNETES_DIRECTORY "/kubeconfigs.new"

/* On a disk that is new or damaged `restore` brings etcd and keys back together. */
#define RESTORE_ADVICE                                                                                                 \
    "see that /data is mounted, put the missing files back, or run `k8s-master restore` with a backup of this cluster"

static const char *const kubeconfigs[] = {"admin.conf", "kubelet.conf", "controller-manager.conf", "scheduler.conf"};

/* What the CAs sign, without suffix; the CAs themselves and the service account key stay for good. */
static const char *const leaves[] = {
    "apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client", "etcd/server",
    "etcd/peer", "etcd/healthcheck-client",
};

static bool lasts(const struct cert_info *info)
{
    return cert_days_left(info, time(NULL)) >= RENEW_DAYS;
}

/* The API server's and etcd's certificates must name the addresses they are reached by now. */
static bool names_fit(const struct run *run, const char *leaf, char *const *names)
{
    if (strcmp(leaf, "apiserver") == 0) {
        return strv_contains(names, run->facts->self->ip) &&
               strv_contains(names, run->facts->parameters.api_external_domain);
    }
    if (strcmp(leaf, "etcd/server") == 0 || strcmp(leaf, "etcd/peer") == 0) {
        return strv_contains(names, run->facts->self->ip);
    }
    return true;
}

static bool leaf_fits(const struct run *run, const char *leaf)
{
    struct cert_info info = {0};
    _cleanup_free_ char *path = xasprintf(PKI "%s.crt", leaf);
    bool etcd = str_starts(leaf, "etcd/") || strcmp(leaf, "apiserver-etcd-client") == 0;
    if (etcd && run->facts->etcd_linked) {
        return true;
    }
    bool fits = cert_read(path, &info, NULL) == 0 && lasts(&info) && names_fit(run, leaf, info.names);
    cert_info_free(&info);
    return fits;
}

/* A kubeconfig of kubeadm's holds its certificate as base64 on one line; the kubelet's names a file once it rotates. */
static bool kubeconfig_certificate(const char *text, struct cert_info *info)
{
    static const char key[] = "client-certificate-data:";
    const char *found = strstr(text, key);
    if (found == NULL) {
        return cert_read(KUBELET_CLIENT_CERTIFICATE, info, NULL) == 0;
    }
    found += strlen(key);
    found += strspn(found, " ");
    _cleanup_free_ char *encoded = xstrndup(found, strcspn(found, "\n"));
    _cleanup_free_ unsigned char *pem = NULL;
    size_t len = 0;
    return base64_decode(encoded, &pem, &len, NULL) == 0 && cert_parse((const char *)pem, len, info, NULL) == 0;
}

static bool kubeconfig_fits(const struct run *run, const char *name)
{
    struct cert_info info = {0};
    _cleanup_free_ char *path = path_join(KUBERNETES_DIRECTORY, name);
    _cleanup_secret_ char *text = NULL;
    size_t len = 0;
    _cleanup_free_ char *server = xasprintf("https://%s:%d", run->facts->self->ip, API_PORT);
    bool fits = file_read(path, 0, &text, &len, NULL) == 0 && strstr(text, server) != NULL &&
                kubeconfig_certificate(text, &info) && lasts(&info);
    cert_info_free(&info);
    return fits;
}

static int certificates_fit_done(struct run *run, struct error **err)
{
    (void)err;
    if (access(MADE_KUBECONFIGS, F_OK) == 0) {
        return 0;
    }
    for (size_t i = 0; i < ELEMENTS(leaves); i++) {
        if (!leaf_fits(run, leaves[i])) {
            return 0;
        }
    }
    for (size_t i = 0; i < ELEMENTS(kubeconfigs); i++) {
        if (!kubeconfig_fits(run, kubeconfigs[i])) {
            return 0;
        }
    }
    return 1;
}

static int remove_leaf(const char *leaf, struct error **err)
{
    _cleanup_free_ char *cert = xasprintf(PKI "%s.crt", leaf);
    _cleanup_free_ char *key = xasprintf(PKI "%s.key", leaf);
    return file_remove(cert, NULL, err) < 0 ? -1 : file_remove(key, NULL, err);
}

static int put_kubeconfig(const char *name, struct error **err)
{
    _cleanup_free_ char *made = path_join(MADE_KUBECONFIGS, name);
    _cleanup_free_ char *path = path_join(KUBERNETES_DIRECTORY, name);
    if (strcmp(name, "kubelet.conf") == 0 && file_remove(KUBELET_CLIENT_CERTIFICATE, NULL, err) < 0) {
        return -1;
    }
    return rename(made, path) == 0 ? 0 : error_errno(err, STATUS_FILE, errno, "%s: renaming %s to it", path, made);
}

/* A kubeconfig that is missing for a moment would be made by the kubelet, empty, where a static pod mounts it: each is
 * replaced by the new one. */
static int make_kubeconfigs(struct run *run, bool all, struct error **err)
{
    bool needed[ELEMENTS(kubeconfigs)];
    bool any = false;
    for (size_t i = 0; i < ELEMENTS(kubeconfigs); i++) {
        needed[i] = all || !kubeconfig_fits(run, kubeconfigs[i]);
        any = any || needed[i];
    }
    if (!any) {
        return tree_remove(MADE_KUBECONFIGS, err);
    }
    if (tree_remove(MADE_KUBECONFIGS, err) < 0 || dir_make(MADE_KUBECONFIGS, 0700, err) < 0 ||
        kubeadm_kubeconfigs(run, MADE_KUBECONFIGS, err) < 0 || tree_sync(DATA, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ELEMENTS(kubeconfigs); i++) {
        if (needed[i] && put_kubeconfig(kubeconfigs[i], err) < 0) {
            return -1;
        }
    }
    return tree_remove(MADE_KUBECONFIGS, err);
}

/* The keys are on the disk before a kubeconfig shows that they are in use. */
static int make_missing(struct run *run, bool all, struct error **err)
{
    if (kubeadm_phase(run, "certs", "all", err) < 0 || tree_sync(DATA, err) < 0 ||
        make_kubeconfigs(run, all, err) < 0) {
        return -1;
    }
    return tree_sync(DATA, err);
}

/* kubeadm makes certificates that are missing and leaves the rest, so what does not fit is removed first. It would also
 * make a CA that is missing, which nobody trusts. */
static int reissue(struct run *run, bool all, struct error **err)
{
    if (cluster_keys_verify(run, err) < 0) {
        return error_wrap(err, "nothing was changed: " RESTORE_ADVICE);
    }
    for (size_t i = 0; i < ELEMENTS(leaves); i++) {
        if ((all || !leaf_fits(run, leaves[i])) && remove_leaf(leaves[i], err) < 0) {
            return -1;
        }
    }
    return make_missing(run, all, err);
}

static int certificates_done(struct run *run, struct error **err)
{
    (void)err;
    return stamp_same(run, "certificates", "made") && cluster_keys_verify(run, NULL) == 0;
}

/* The stamp means that a kubeadm ran to its end. Without it, a killed one may have left half a set behind, or the stamp
 * is lost: complete keys are used as they are, and incomplete ones are replaced only where no cluster depends on them.
 */
static int certificates_apply(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *damage = NULL;
    _cleanup_free_ char *evidence = cluster_keys_evidence(run);
    if (cluster_keys_verify(run, &damage) == 0) {
        log_notice("the CAs are there and complete: they are kept");
        return reissue(run, false, err) < 0 ? -1 : stamp_put(run, "certificates", "made", err);
    }
    if (evidence == NULL && stamp_same(run, "certificates", "made")) {
        evidence = xstrdup("the stamp of an earlier init");
    }
    if (evidence != NULL) {
        return error_new(err, damage->status,
                         "%s; %s shows that a cluster needs these keys, so no new ones are made and nothing was "
                         "changed: " RESTORE_ADVICE,
                         damage->message, evidence);
    }
    if (cluster_keys_set_aside(run, err) < 0 || make_missing(run, true, err) < 0) {
        return -1;
    }
    return stamp_put(run, "certificates", "made", err);
}

const struct step step_issue_certificates = {"issue certificates", certificates_done, certificates_apply, NULL};

static int certificates_fit_apply(struct run *run, struct error **err)
{
    return reissue(run, false, err);
}

const struct step step_keep_certificates_valid = {"keep certificates valid", certificates_fit_done,
                                                  certificates_fit_apply, NULL};

static int certificates_renewed_apply(struct run *run, struct error **err)
{
    return reissue(run, true, err);
}

const struct step step_renew_certificates = {"renew certificates", NULL, certificates_renewed_apply, NULL};
