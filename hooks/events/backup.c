#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/events/events.h"
#include "hooks/files/backups.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/system/tree.h"

static int save_etcd(struct run *run, const char *path, struct error **err)
{
    static const char *const environment[] = {"ETCDCTL_API=3", NULL};
    const char *const argv[] = {"etcdctl",
                                "--endpoints=https://127.0.0.1:2379",
                                "--cacert=/etc/kubernetes/pki/etcd/ca.crt",
                                "--cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt",
                                "--key=/etc/kubernetes/pki/etcd/healthcheck-client.key",
                                "snapshot",
                                "save",
                                path,
                                NULL};
    const struct proc proc = {.argv = argv, .environment = environment, .deadline = run->deadline};
    return proc_run(&proc, NULL, err);
}

/* The authorities and keys, the kubeconfigs and the token: with etcd's snapshot, all that makes this cluster this
 * cluster. */
static int save_kubernetes(struct run *run, const char *path, struct error **err)
{
    return proc_exec(run->deadline, err, "tar", "--create", "--file", path, "--directory", DATA_KUBERNETES, "pki",
                     "admin.conf", "controller-manager.conf", "scheduler.conf", "client.conf", "hooks/bootstrap-token",
                     "hooks/stamps/certificates", NULL);
}

static int write_manifest(struct run *run, const char *directory, const char *name, const char *const *files,
                          struct error **err)
{
    _cleanup_json_ json_t *sums = json_object();
    for (; *files != NULL; files++) {
        _cleanup_free_ char *path = path_join(directory, *files);
        _cleanup_free_ char *sum = NULL;
        if (chmod(path, 0600) < 0) {
            return error_errno(err, STATUS_BACKUP, errno, "cannot protect %s", path);
        }
        if (sha256_file(path, &sum, err) < 0) {
            return -1;
        }
        json_object_set_new(sums, *files, json_string(sum));
    }
    _cleanup_json_ json_t *manifest = json_pack("{ss sI ss sO sO}", "name", name, "created", (json_int_t)time(NULL),
                                                "cluster", run->facts->cluster.id, "kubernetes",
                                                json_object_get(run->facts->versions, "kubernetes"), "sha256", sums);
    _cleanup_free_ char *text = json_dumps(manifest, JSON_INDENT(2));
    _cleanup_free_ char *path = path_join(directory, "manifest.json");
    return file_put_private(path, text, err);
}

/* Made under a name that no list shows, and renamed when it is whole and on the disk. */
static int make_backup(struct run *run, const char *name, struct error **err)
{
    static const char *const files[] = {"etcd.db", "kubernetes.tar", NULL};
    static const char making[] = BACKUP_DIRECTORY "/.making";
    _cleanup_free_ char *final = xasprintf(BACKUP_DIRECTORY "/%s", name);
    if (tree_remove(making, err) < 0 || dir_make(BACKUP_DIRECTORY, 0700, err) < 0 || dir_make(making, 0700, err) < 0 ||
        save_etcd(run, BACKUP_DIRECTORY "/.making/etcd.db", err) < 0 ||
        save_kubernetes(run, BACKUP_DIRECTORY "/.making/kubernetes.tar", err) < 0 ||
        write_manifest(run, making, name, files, err) < 0 || tree_sync(making, err) < 0) {
        return -1;
    }
    if (rename(making, final) < 0) {
        return error_errno(err, STATUS_BACKUP, errno, "cannot finish the backup %s", final);
    }
    return tree_sync(BACKUP_DIRECTORY, err);
}

static int remove_backup(const char *name, struct error **err)
{
    _cleanup_free_ char *manifest = backup_path(name, "manifest.json");
    _cleanup_free_ char *path = xasprintf(BACKUP_DIRECTORY "/%s", name);
    /* Without its manifest what is left counts as nothing, should this be interrupted. */
    return file_remove(manifest, NULL, err) < 0 ? -1 : tree_remove(path, err);
}

static int remove_old(long keep, struct error **err)
{
    _cleanup_strv_ char **names = backup_list();
    long extra = keep == 0 ? 0 : (long)strv_length(names) - keep;
    for (long i = 0; i < extra; i++) {
        log_info("backup %s is older than the %ld that are kept", names[i], keep);
        if (remove_backup(names[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static char *name_of_now(void)
{
    return time_text(time(NULL), TIME_COMPACT);
}

int event_backup(struct run *run, struct error **err)
{
    _cleanup_(backup_request_clear) struct backup_request request = {0};
    if (backup_request_parse(run->argument, &request, err) < 0) {
        return -1;
    }
    if (run->facts->etcd_linked) {
        return error_new(err, STATUS_BACKUP, "the cluster's data is in the linked etcd app: back that up");
    }
    if (request.name == NULL) {
        request.name = name_of_now();
    }
    _cleanup_free_ char *done = backup_path(request.name, "manifest.json");
    if (access(done, F_OK) == 0) {
        log_info("backup %s is there already", request.name);
        return 0;
    }
    if (make_backup(run, request.name, err) < 0 || remove_old(request.keep, err) < 0) {
        return -1;
    }
    puts(request.name);
    return 0;
}

int event_delete_snapshot(struct run *run, struct error **err)
{
    _cleanup_(backup_request_clear) struct backup_request request = {0};
    if (backup_request_parse(run->argument, &request, err) < 0) {
        return -1;
    }
    if (request.name == NULL) {
        return error_new(err, STATUS_USAGE, "which backup? {\"snapshot_id\": \"NAME\"}");
    }
    return remove_backup(request.name, err);
}
