#include "hooks/steps/control_plane/cluster_keys.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/tree.h"

#define PKI DATA_KUBERNETES "/pki"

/* kubernetes.io/docs/setup/best-practices/certificates */
static const struct key_files {
    const char *certificate, *key;
    bool etcd;
} cluster_keys[] = {
    {PKI "/ca.crt", PKI "/ca.key", false},
    {PKI "/front-proxy-ca.crt", PKI "/front-proxy-ca.key", false},
    {PKI "/sa.pub", PKI "/sa.key", false},
    {PKI "/etcd/ca.crt", PKI "/etcd/ca.key", true},
};

int cluster_keys_verify(const struct run *run, struct error **err)
{
    for (size_t i = 0; i < ELEMENTS(cluster_keys); i++) {
        _cleanup_free_ char *certificate = run_path(run, cluster_keys[i].certificate);
        _cleanup_free_ char *key = run_path(run, cluster_keys[i].key);
        bool needed = !cluster_keys[i].etcd || !run->facts->etcd_linked;
        if (needed && key_pair_verify(certificate, key, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool is_there(const struct run *run, const char *pattern)
{
    _cleanup_free_ char *path = run_path(run, pattern);
    glob_t found = {0};
    bool there = glob(path, GLOB_NOSORT, NULL, &found) == 0;
    globfree(&found);
    return there;
}

static bool published(const struct run *run)
{
    _cleanup_token_ struct join_token token = {0};
    return run->facts->master == run->facts->self && facts_join_token(run->facts, &token, NULL) == 0;
}

char *cluster_keys_evidence(const struct run *run)
{
    static const char *const paths[] = {
        DATA_ETCD "/member",
        DATA_ETCD ".before-restore/member",
        "/data/var/lib/kubelet/pki/kubelet-client-*.pem",
        DATA_KUBERNETES "/admin.conf",
        DATA_KUBERNETES "/kubelet.conf",
        DATA_KUBERNETES "/client.conf",
    };
    for (size_t i = 0; i < ELEMENTS(paths); i++) {
        if (is_there(run, paths[i])) {
            return xstrdup(paths[i]);
        }
    }
    return published(run) ? xstrdup("the CA hash that this master published in the metadata") : NULL;
}

int cluster_keys_set_aside(const struct run *run, struct error **err)
{
    _cleanup_free_ char *pki = run_path(run, PKI);
    _cleanup_free_ char *text = time_text(time(NULL), TIME_COMPACT);
    _cleanup_free_ char *aside = xasprintf("%s.incomplete-%s", pki, text);
    if (access(pki, F_OK) < 0 && errno == ENOENT) {
        return 0;
    }
    if (chmod(pki, 0700) < 0 || rename(pki, aside) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot move the incomplete keys in %s to %s", pki, aside);
    }
    log_warning("%s was incomplete and not used yet: moved to %s", pki, aside);
    _cleanup_free_ char *parent = run_path(run, DATA_KUBERNETES);
    return tree_sync(parent, err);
}
