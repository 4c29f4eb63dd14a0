#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/clients/kubeconfig.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/seal.h"
#include "lib/system/file.h"

/* AppCenter lays the private half of pub_key here ("passphraseless" in the developer guide). */
static const char private_key[] = "/root/.ssh/id_rsa";

/* The CA of the cluster that this client trusts since its first start: whoever can write the metadata later cannot lead
 * it to another API server. */
#define TRUSTED_CA "cluster-ca.crt"

enum { FETCH_S = 5 };

/* *ca is NULL before the first start. */
static int read_trusted_ca(const struct run *run, char **ca, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    _cleanup_free_ char *path = run_state_path(run, TRUSTED_CA);
    *ca = NULL;
    return file_read(path, 1 << 20, ca, NULL, &failure) == 0 || errno == ENOENT ? 0 : error_move(err, &failure);
}

static int unseal_with_key(const struct run *run, const char *sealed, char **text, struct error **err)
{
    size_t len = 0;
    _cleanup_free_ char *key = run_path_followed(run, private_key);
    return unseal(key, sealed, text, &len, err);
}

/* A name for PEM in anonymous memory, which OpenSSL can open. */
static char *in_memory(const char *pem, int *memory, struct error **err)
{
    *memory = memfd_create("ca", MFD_CLOEXEC);
    size_t len = strlen(pem);
    if (*memory < 0 || write(*memory, pem, len) != (ssize_t)len) {
        (void)error_errno(err, STATUS_FAILED, errno, "cannot keep the CA in memory");
        return NULL;
    }
    return xasprintf("/proc/self/fd/%d", *memory);
}

/* What the master published in the cluster last, from a server with a certificate of the CA in CA_PATH; NULL: from
 * whoever answers. */
static int fetch_kubeconfig(struct run *run, const char *server, const char *ca_path, char **text, struct error **err)
{
    const struct http_tls tls = {.ca = ca_path, .self_signed = ca_path == NULL};
    struct kube *kube __attribute__((cleanup(kube_freep))) = NULL;
    _cleanup_json_ json_t *map = NULL;
    if (kube_open(&kube, server, &tls, err) < 0 ||
        kube_get(kube, "/api/v1/namespaces/kube-public/configmaps/" CLIENT_CONFIG_MAP, run_deadline(run, FETCH_S), &map,
                 NULL, err) < 0) {
        return -1;
    }
    const char *sealed = json_text(json_object_get(map, "data"), "kubeconfig");
    return sealed == NULL ? error_new(err, STATUS_CRYPTO, "ConfigMap " CLIENT_CONFIG_MAP " holds no kubeconfig")
                          : unseal_with_key(run, sealed, text, err);
}

/* The CA of KUBECONFIG, when it is the one whose hash is in the metadata. */
static int ca_by_hash(const char *kubeconfig, const char *hash, char **ca, struct error **err)
{
    struct kubeconfig config __attribute__((cleanup(kubeconfig_free))) = {0};
    _cleanup_close_ int memory = -1;
    _cleanup_free_ char *found = NULL;
    if (kubeconfig_parse(kubeconfig, &config, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *path = config.ca == NULL ? NULL : in_memory(config.ca, &memory, err);
    if (path == NULL || ca_public_key_hash(path, &found, err) < 0) {
        return config.ca == NULL ? error_new(err, STATUS_CRYPTO, "the kubeconfig names no CA") : -1;
    }
    if (strcmp(found, hash) != 0) {
        return error_new(err, STATUS_CRYPTO, "the kubeconfig's CA has the hash %s, the metadata says %s", found, hash);
    }
    *ca = STEAL(config.ca);
    return 0;
}

static int check_ca(const struct run *run, const char *kubeconfig, const char *trusted, struct error **err)
{
    struct kubeconfig config __attribute__((cleanup(kubeconfig_free))) = {0};
    if (kubeconfig_parse(kubeconfig, &config, err) < 0) {
        return -1;
    }
    if (config.ca != NULL && (trusted == NULL || strcmp(config.ca, trusted) == 0)) {
        return 0;
    }
    _cleanup_free_ char *path = run_state_path(run, TRUSTED_CA);
    return error_new(
        err, STATUS_CRYPTO,
        "the kubeconfig in the metadata names another CA than the one that this client trusts since its first "
        "start: if the cluster was really created again, remove %s and run `k8s-client init`; if not, somebody "
        "else writes the metadata",
        path);
}

/* Before the first start: the CA that the metadata's hash belongs to. FIRST is the metadata's kubeconfig; a client
 * whose key is another one since cannot open it (NULL), and is given the CA by whoever answers at the API server's
 * address. */
static int find_ca(struct run *run, const struct join_token *token, const char *server, const char *first, char **ca,
                   struct error **err)
{
    _cleanup_secret_ char *text = NULL;
    if (first == NULL && fetch_kubeconfig(run, server, NULL, &text, err) < 0) {
        return -1;
    }
    return ca_by_hash(first != NULL ? first : text, token->ca_hash, ca, err);
}

static int open_metadata_kubeconfig(const struct run *run, const struct join_token *token, char **text,
                                    struct error **err)
{
    return token->kubeconfig != NULL
               ? unseal_with_key(run, token->kubeconfig, text, err)
               : error_new(err, STATUS_CRYPTO,
                           "the master published no kubeconfig for this client: it had no pub_key then");
}

/* The metadata's is the first one, for the client's key of that time; what was published since lies in the cluster. */
static int open_kubeconfig(struct run *run, char **text, char **ca, struct error **err)
{
    _cleanup_token_ struct join_token token = {0};
    _cleanup_error_ struct error *sealed = NULL;
    _cleanup_error_ struct error *fetched = NULL;
    _cleanup_secret_ char *first = NULL;
    _cleanup_close_ int memory = -1;
    if (facts_join_token(run->facts, &token, err) < 0 || read_trusted_ca(run, ca, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *server = xasprintf("https://%s", token.api);
    if (open_metadata_kubeconfig(run, &token, &first, &sealed) == 0 && check_ca(run, first, *ca, err) < 0) {
        return -1;
    }
    if (*ca == NULL && find_ca(run, &token, server, first, ca, &fetched) < 0) {
        return error_move(err, first != NULL ? &fetched : &sealed);
    }
    _cleanup_free_ char *ca_path = *ca == NULL ? NULL : in_memory(*ca, &memory, err);
    if (ca_path == NULL) {
        return -1;
    }
    if (fetch_kubeconfig(run, server, ca_path, text, &fetched) == 0) {
        return check_ca(run, *text, *ca, err);
    }
    if (first == NULL) {
        return error_move(err, &sealed);
    }
    log_debug("using the metadata's kubeconfig: %s", fetched == NULL ? "" : fetched->message);
    *text = STEAL(first);
    return 0;
}

static int with_kubeconfig(struct run *run, bool keep_ca, int (*use)(const struct file_spec *, struct error **),
                           struct error **err)
{
    _cleanup_secret_ char *text = NULL;
    _cleanup_free_ char *ca = NULL;
    if (open_kubeconfig(run, &text, &ca, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *path = run_path(run, ROOT_KUBECONFIG);
    _cleanup_free_ char *trusted = run_state_path(run, TRUSTED_CA);
    const struct file_spec spec = {.path = path,
                                   .data = text,
                                   .len = text == NULL ? 0 : strlen(text),
                                   .mode = 0600,
                                   .uid = geteuid(),
                                   .gid = getegid()};
    int result = use(&spec, err);
    if (result < 0 || !keep_ca) {
        return result == 1 ? access(trusted, F_OK) == 0 : result;
    }
    return file_put_private(trusted, ca, err);
}

static int put(const struct file_spec *spec, struct error **err)
{
    return file_put(spec, NULL, err);
}

static int client_kubeconfig_done(struct run *run, struct error **err)
{
    return with_kubeconfig(run, false, file_same, err);
}

static int client_kubeconfig_apply(struct run *run, struct error **err)
{
    return with_kubeconfig(run, true, put, err);
}

const struct step step_write_kubeconfig = {"write root's kubeconfig", client_kubeconfig_done, client_kubeconfig_apply,
                                           NULL};
