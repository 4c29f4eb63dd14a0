#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/engine/stamp.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"

/* Secrets are encrypted in etcd with a key beside the CAs, so that backups hold both and a disk image of etcd alone
 * opens nothing (kubernetes.io/docs/tasks/administer-cluster/encrypt-data). The first key of the file encrypts, every
 * one of them decrypts; what is not encrypted yet can be read too. */

#define CONFIGURATION PKI_DIRECTORY "/encryption.yaml"
#define API_SERVER STATIC_PODS "/kube-apiserver.yaml"
#define STAMP "encryption"
#define STAMP_FILE "stamps/" STAMP

enum { KEY_BYTES = 32 /* secretbox: XSalsa20 and Poly1305 */, PAGE = 500 };

/* The list of keys, borrowed from CONFIGURATION; NULL when it is another document. */
static json_t *keys_of(const json_t *configuration)
{
    const json_t *resource = json_array_get(json_object_get(configuration, "resources"), 0);
    const json_t *provider = json_array_get(json_object_get(resource, "providers"), 0);
    json_t *keys = json_object_get(json_object_get(provider, "secretbox"), "keys");
    size_t i;
    json_t *key;
    json_array_foreach (keys, i, key) {
        if (!json_is_string(json_object_get(key, "name")) || !json_is_string(json_object_get(key, "secret"))) {
            return NULL;
        }
    }
    return json_array_size(keys) > 0 ? keys : NULL;
}

static int load(const struct run *run, json_t **configuration, struct error **err)
{
    _cleanup_free_ char *path = run_path(run, CONFIGURATION);
    _cleanup_secret_ char *text = NULL;
    size_t len = 0;
    if (file_read(path, 1 << 20, &text, &len, err) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *read = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (keys_of(read) == NULL) {
        return error_new(err, STATUS_CRYPTO, "%s does not hold the keys that Secrets are encrypted with", path);
    }
    *configuration = STEAL(read);
    return 0;
}

static int store(const struct run *run, const json_t *configuration, struct error **err)
{
    _cleanup_free_ char *path = run_path(run, CONFIGURATION);
    _cleanup_secret_ char *text = json_dumps(configuration, JSON_INDENT(2));
    return file_put_private(path, text, err);
}

static int new_key(json_t **key, struct error **err)
{
    time_t now = time(NULL);
    struct tm tm;
    char name[32] = "";
    _cleanup_secret_ char *secret = NULL;
    (void)strftime(name, sizeof name, "key-%Y%m%dt%H%M%Sz", gmtime_r(&now, &tm));
    if (random_base64(KEY_BYTES, &secret, err) < 0) {
        return -1;
    }
    *key = json_pack("{ss ss}", "name", name, "secret", secret);
    return 0;
}

/* Whether the API server's manifest uses the file. */
static bool in_use(const struct run *run)
{
    _cleanup_free_ char *path = run_path(run, API_SERVER);
    _cleanup_free_ char *text = NULL;
    return file_read(path, 0, &text, NULL, NULL) == 0 && strstr(text, "--encryption-provider-config=") != NULL;
}

/* The name of the key that Secrets were last encrypted with, as `encrypt Secrets` recorded it; NULL when it did not.
 * The caller frees. */
static char *recorded_key(const struct run *run)
{
    _cleanup_free_ char *path = run_state_path(run, STAMP_FILE);
    _cleanup_free_ char *name = NULL;
    return file_read(path, 0, &name, NULL, NULL) < 0 || str_empty(name) ? NULL : STEAL(name);
}

static bool holds(const json_t *configuration, const char *name)
{
    size_t i;
    json_t *key;
    json_array_foreach (keys_of(configuration), i, key) {
        if (strcmp(json_text(key, "name"), name) == 0) {
            return true;
        }
    }
    return false;
}

static int generate_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_json_ json_t *configuration = NULL;
    _cleanup_free_ char *recorded = recorded_key(run);
    return load(run, &configuration, NULL) == 0 && (recorded == NULL || holds(configuration, recorded));
}

/* A new key in the place of a lost one would leave Secrets that nobody can read. */
static int generate_apply(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *absence = NULL;
    _cleanup_json_ json_t *configuration = NULL;
    json_t *key = NULL;
    _cleanup_free_ char *path = run_path(run, CONFIGURATION);
    _cleanup_free_ char *recorded = recorded_key(run);
    _cleanup_free_ char *stamp = run_state_path(run, STAMP_FILE);
    bool there = access(path, F_OK) == 0;
    if (load(run, &configuration, &absence) == 0) {
        return recorded == NULL || holds(configuration, recorded)
                   ? 0
                   : error_new(err, STATUS_CRYPTO,
                               "%s lacks key %s, and this cluster's Secrets are encrypted with it; the keys were not "
                               "changed: put the file back, or run `k8s-master restore` with a backup of this cluster; "
                               "if the Secrets were encrypted with another key by hand, delete %s",
                               path, recorded, stamp);
    }
    if (there || in_use(run) || recorded != NULL) {
        return error_new(
            err, absence->status,
            "%s, and this cluster's Secrets are encrypted with it; the keys were not changed: put the file back, or "
            "run `k8s-master restore` with a backup of this cluster",
            absence->message);
    }
    if (new_key(&key, err) < 0) {
        return -1;
    }
    configuration = json_pack("{ss ss s[{s[s] s[{s{s[o]}} {s{}}]}]}", "apiVersion", "apiserver.config.k8s.io/v1",
                              "kind", "EncryptionConfiguration", "resources", "resources", "secrets", "providers",
                              "secretbox", "keys", key, "identity");
    return store(run, configuration, err);
}

const struct step step_generate_encryption_key = {"generate encryption key", generate_done, generate_apply, NULL};

static const char *first_name(const json_t *configuration)
{
    return json_text(json_array_get(keys_of(configuration), 0), "name");
}

/* Only one rotation at a time: while some Secret may still need an older key, none is added and none removed. */
static int rotate_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *configuration = NULL;
    json_t *key = NULL;
    if (load(run, &configuration, err) < 0) {
        return -1;
    }
    if (!stamp_same(run, STAMP, first_name(configuration))) {
        log_notice("the last rotation of the encryption key is not finished: it is finished first");
        return 0;
    }
    if (new_key(&key, err) < 0) {
        return -1;
    }
    json_t *keys = keys_of(configuration);
    while (json_array_size(keys) > 1) {
        json_array_remove(keys, 1);
    }
    json_array_insert_new(keys, 0, key);
    return store(run, configuration, err);
}

const struct step step_rotate_encryption_key = {"rotate encryption key", NULL, rotate_apply, NULL};

static int encrypt_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_json_ json_t *configuration = NULL;
    return !in_use(run) || (load(run, &configuration, NULL) == 0 && stamp_same(run, STAMP, first_name(configuration)));
}

/* A patch that changes nothing is written all the same when what is stored has not the first key. */
static int rewrite(struct run *run, const json_t *secret, struct error **err)
{
    const json_t *metadata = json_object_get(secret, "metadata");
    _cleanup_error_ struct error *failure = NULL;
    _cleanup_json_ json_t *nothing = json_object();
    _cleanup_json_ json_t *now = NULL;
    long code = 0;
    _cleanup_free_ char *path =
        xasprintf("/api/v1/namespaces/%s/secrets/%s", json_text(metadata, "namespace"), json_text(metadata, "name"));
    if (kube_merge_patch(run->kube, path, nothing, run_deadline(run, 30), &failure) == 0 ||
        (kube_get(run->kube, path, run_deadline(run, 30), &now, &code, NULL) < 0 && code == 404)) {
        return 0;
    }
    return error_move(err, &failure);
}

static int encrypt_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *configuration = NULL;
    _cleanup_free_ char *next = xstrdup("");
    size_t count = 0;
    if (load(run, &configuration, err) < 0 || run_kube(run, err) < 0) {
        return -1;
    }
    do {
        _cleanup_json_ json_t *page = NULL;
        _cleanup_free_ char *path = xasprintf("/api/v1/secrets?limit=%d&continue=%s", PAGE, next);
        long code = 0;
        if (kube_get(run->kube, path, run_deadline(run, 60), &page, &code, err) < 0) {
            return code != 500 || err == NULL || strstr((*err)->message, "unable to transform key") == NULL
                       ? -1
                       : error_wrap(err, "Secrets cannot be read: are the keys in " CONFIGURATION " this cluster's? If "
                                         "not, put the right file back, or run `k8s-master restore` with a backup of "
                                         "this cluster");
        }
        size_t i;
        json_t *secret;
        json_array_foreach (json_object_get(page, "items"), i, secret) {
            if (rewrite(run, secret, err) < 0) {
                return -1;
            }
            count++;
        }
        free(next);
        next = xstrdup(json_text(json_object_get(page, "metadata"), "continue"));
    } while (!str_empty(next));
    log_info("%zu Secrets are encrypted with %s", count, first_name(configuration));
    return stamp_put(run, STAMP, first_name(configuration), err);
}

const struct step step_encrypt_secrets = {"encrypt Secrets", encrypt_done, encrypt_apply, NULL};
