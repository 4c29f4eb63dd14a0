#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/engine/stamp.h"
#include "hooks/files/backups.h"
#include "hooks/steps/control_plane/restore.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/system/tree.h"

#define RESTORED DATA_ETCD ".restored"
#define REPLACED DATA_ETCD ".before-restore"
#define MARK "replaced-by-restore"
#define UNFINISHED "restore-unfinished" /* empty until the keys are restored */

/* The requested one, or the newest. */
static int chosen(const struct run *run, char **name, struct error **err)
{
    _cleanup_(backup_request_clear) struct backup_request request = {0};
    _cleanup_strv_ char **names = backup_list();
    size_t count = strv_length(names);
    if (backup_request_parse(run->argument, &request, err) < 0) {
        return -1;
    }
    if (request.name == NULL && count == 0) {
        return error_new(err, STATUS_BACKUP, "there is no finished backup in %s", BACKUP_DIRECTORY);
    }
    *name = xstrdup(request.name != NULL ? request.name : names[count - 1]);
    return 0;
}

static int backup_sound_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *name = NULL;
    _cleanup_json_ json_t *manifest = NULL;
    if (run->facts->etcd_linked) {
        return error_new(err, STATUS_BACKUP, "the cluster's data is in the linked etcd app: restore that");
    }
    if (chosen(run, &name, err) < 0 || backup_verify(name, &manifest, err) < 0) {
        return -1;
    }
    log_info("restoring backup %s", name);
    return 0;
}

const struct step step_verify_backup = {"verify backup", NULL, backup_sound_apply, NULL};

/* A snapshot is given to a new member; names and addresses are those kubeadm writes into etcd's manifest. */
static int restore_snapshot(struct run *run, const char *name, struct error **err)
{
    static const char *const environment[] = {"ETCDCTL_API=3", NULL};
    static const char restored[] = RESTORED;
    _cleanup_free_ char *snapshot = xasprintf(BACKUP_DIRECTORY "/%s/etcd.db", name);
    _cleanup_free_ char *peer = xasprintf("https://%s:2380", run->facts->self->ip);
    _cleanup_free_ char *members = xasprintf("%s=%s", run->facts->self->node_name, peer);
    const char *const argv[] = {"etcdctl",
                                "snapshot",
                                "restore",
                                snapshot,
                                "--data-dir",
                                restored,
                                "--name",
                                run->facts->self->node_name,
                                "--initial-cluster",
                                members,
                                "--initial-advertise-peer-urls",
                                peer,
                                NULL};
    const struct proc proc = {.argv = argv, .environment = environment, .deadline = run->deadline};
    return proc_run(&proc, NULL, err);
}

/* The data in use until now is kept as REPLACED: the way back from a restore that was a mistake. The mark distinguishes
 * it from an unpacked snapshot while it lies in RESTORED, should the event be killed there. */
static int keep_replaced(struct error **err)
{
    if (access(RESTORED "/" MARK, F_OK) < 0) {
        return 0;
    }
    if (tree_remove(REPLACED, err) < 0) {
        return -1;
    }
    if (rename(RESTORED, REPLACED) < 0) {
        return error_errno(err, STATUS_BACKUP, errno, "cannot move " RESTORED " to " REPLACED);
    }
    return tree_sync(DATA, err);
}

/* At no moment is there a /data/etcd without data, which a `start` would take for a new cluster's. What an interrupted
 * restore put there does not replace REPLACED, which is still the way back. */
static int swap_data(struct error **err)
{
    bool kept = access(DATA_ETCD "/member", F_OK) == 0 && access(DATA_ETCD "/" UNFINISHED, F_OK) < 0;
    if (kept && file_put_private(DATA_ETCD "/" MARK, "", err) < 0) {
        return -1;
    }
    if (dir_make(DATA_ETCD, 0700, err) < 0) {
        return -1;
    }
    if (renameat2(AT_FDCWD, RESTORED, AT_FDCWD, DATA_ETCD, RENAME_EXCHANGE) < 0) {
        return error_errno(err, STATUS_BACKUP, errno, "cannot exchange " DATA_ETCD " and " RESTORED);
    }
    return keep_replaced(err) < 0 || tree_remove(RESTORED, err) < 0 ? -1 : tree_sync(DATA, err);
}

/* While the cluster still runs: a snapshot that etcd refuses stops nothing. */
static int snapshot_unpacked_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *name = NULL;
    if (chosen(run, &name, err) < 0 || keep_replaced(err) < 0 || tree_remove(RESTORED, err) < 0) {
        return -1;
    }
    if (restore_snapshot(run, name, err) < 0) {
        (void)tree_remove(RESTORED, NULL);
        return error_wrap(err, "backup %s cannot be used; nothing was stopped", name);
    }
    return file_put_private(RESTORED "/" UNFINISHED, "", err) < 0 ? -1 : tree_sync(RESTORED, err);
}

const struct step step_unpack_snapshot = {"unpack etcd snapshot", NULL, snapshot_unpacked_apply, NULL};

static int etcd_restored_apply(struct run *run, struct error **err)
{
    (void)run;
    return swap_data(err);
}

const struct step step_restore_etcd = {"restore etcd data", NULL, etcd_restored_apply, NULL};

static bool keys_restored(void)
{
    struct stat st;
    return stat(DATA_ETCD "/" UNFINISHED, &st) < 0 || st.st_size > 0;
}

static int restore_finished_done(struct run *run, struct error **err)
{
    (void)run;
    (void)err;
    return keys_restored();
}

static int restore_finished_apply(struct run *run, struct error **err)
{
    (void)run;
    return error_new(
        err, STATUS_BACKUP,
        "a restore was interrupted after it had replaced etcd's data and before it restored the keys, "
        "without which the cluster's Secrets cannot be read; nothing was changed: run `k8s-master restore` "
        "with the same backup again; what was there before is " REPLACED);
}

const struct step step_check_restore_finished = {"check for an unfinished restore", restore_finished_done,
                                                 restore_finished_apply, NULL};

static int restored_accepted_done(struct run *run, struct error **err)
{
    (void)run;
    (void)err;
    return access(DATA_ETCD "/" UNFINISHED, F_OK) < 0;
}

static int restored_accepted_apply(struct run *run, struct error **err)
{
    (void)run;
    return file_remove(DATA_ETCD "/" UNFINISHED, NULL, err);
}

const struct step step_accept_restored = {"accept restored data", restored_accepted_done, restored_accepted_apply,
                                          NULL};

int backup_is_foreign(const struct run *run, bool *foreign, struct error **err)
{
    _cleanup_free_ char *name = NULL;
    _cleanup_json_ json_t *manifest = NULL;
    if (chosen(run, &name, err) < 0 || backup_manifest(name, &manifest, err) < 0) {
        return -1;
    }
    const char *cluster = json_text(manifest, "cluster");
    *foreign = cluster != NULL && strcmp(cluster, run->facts->cluster.id) != 0;
    return 0;
}

/* What lies in the etcd of another cluster needs these two of its keys; a backup of before Secrets were encrypted has
 * one. */
static int add_foreign_keys(struct run *run, const char *archive, char ***argv, struct error **err)
{
    static const char *const wanted[] = {"pki/sa.key", "pki/sa.pub", "pki/encryption.yaml"};
    const char *const list[] = {"tar", "--list", "--file", archive, NULL};
    const struct proc proc = {.argv = list, .keep_output = true, .deadline = run->deadline};
    _cleanup_proc_ struct proc_result result = {0};
    if (proc_run(&proc, &result, err) < 0) {
        return -1;
    }
    _cleanup_strv_ char **members = strv_split(result.output);
    for (size_t i = 0; i < ELEMENTS(wanted); i++) {
        if (strv_contains(members, wanted[i])) {
            strv_push(argv, wanted[i]);
        }
    }
    return 0;
}

static int extract_keys(struct run *run, const char *name, bool foreign, struct error **err)
{
    static const char directory[] = DATA_KUBERNETES;
    _cleanup_free_ char *archive = backup_path(name, "kubernetes.tar");
    const char *const tar[] = {"tar", "--extract", "--file", archive, "--directory", directory, "--same-permissions"};
    _cleanup_strv_ char **argv = NULL;
    for (size_t i = 0; i < ELEMENTS(tar); i++) {
        strv_push(&argv, tar[i]);
    }
    if (foreign && add_foreign_keys(run, archive, &argv, err) < 0) {
        return -1;
    }
    const struct proc proc = {.argv = (const char *const *)argv, .deadline = run->deadline};
    return proc_run(&proc, NULL, err);
}

/* The stamps belong to the cluster that was here before. Another cluster's machines keep the CAs that they trust
 * each other by: of the old cluster they need the key that its service accounts' tokens are signed with. */
static int keys_restored_apply(struct run *run, struct error **err)
{
    static const char *const stamps[] = {"control-plane", "cluster-settings", "encryption"};
    _cleanup_free_ char *name = NULL;
    bool foreign = false;
    for (size_t i = 0; i < ELEMENTS(stamps); i++) {
        if (stamp_remove(run, stamps[i], err) < 0) {
            return -1;
        }
    }
    if (chosen(run, &name, err) < 0 || backup_is_foreign(run, &foreign, err) < 0) {
        return -1;
    }
    if (foreign && access(CA_KEY, R_OK) < 0) {
        return error_new(err, STATUS_BACKUP,
                         "backup %s is of another cluster and this one has no CA yet: run `k8s-master init` "
                         "first",
                         name);
    }
    if (extract_keys(run, name, foreign, err) < 0 || tree_sync(DATA_KUBERNETES, err) < 0) {
        return -1;
    }
    return access(DATA_ETCD "/" UNFINISHED, F_OK) < 0
               ? 0
               : file_put_private(DATA_ETCD "/" UNFINISHED, "keys restored\n", err);
}

const struct step step_restore_keys = {"restore CAs and keys", NULL, keys_restored_apply, NULL};
