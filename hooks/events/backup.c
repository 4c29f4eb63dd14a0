#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "hooks/clients/etcd.h"
#include "hooks/engine/run.h"
#include "hooks/events/events.h"
#include "hooks/files/backups.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/system/tree.h"

#define ETCD_DATABASE DATA_ETCD "/member/snap/db"

static int save_etcd(struct run *run, const char *path, struct error **err)
{
    const char *const arguments[] = {"snapshot", "save", path, NULL};
    return etcdctl(arguments, run->deadline, NULL, err);
}

/* CAs and keys, kubeconfigs and token: with etcd's snapshot, all that makes this cluster this cluster. Only the keys
 * are indispensable: `start` makes what else is missing. */
static int save_kubernetes(struct run *run, const char *path, struct error **err)
{
    static const char *const wanted[] = {"admin.conf",  "controller-manager.conf", "scheduler.conf",
                                         "client.conf", "hooks/bootstrap-token",   "hooks/stamps/certificates"};
    static const char *const tar[] = {"tar", "--create", "--file", NULL, "--directory", (DATA_KUBERNETES), "pki"};
    const char *argv[ELEMENTS(tar) + ELEMENTS(wanted) + 1] = {NULL};
    size_t n = 0;
    for (; n < ELEMENTS(tar); n++) {
        argv[n] = tar[n] != NULL ? tar[n] : path;
    }
    for (size_t i = 0; i < ELEMENTS(wanted); i++) {
        _cleanup_free_ char *file = path_join(DATA_KUBERNETES, wanted[i]);
        if (access(file, R_OK) == 0) {
            argv[n++] = wanted[i];
        }
    }
    const struct proc proc = {.argv = argv, .deadline = run->deadline};
    return proc_run(&proc, NULL, err);
}

static int write_manifest(struct run *run, const char *name, struct error **err)
{
    _cleanup_json_ json_t *sums = json_object();
    for (const char *const *file = backup_files; *file != NULL; file++) {
        _cleanup_free_ char *path = path_join(BACKUP_UNFINISHED, *file);
        _cleanup_free_ char *sum = NULL;
        if (chmod(path, 0600) < 0) {
            return error_errno(err, STATUS_BACKUP, errno, "cannot protect %s", path);
        }
        if (sha256_file(path, &sum, err) < 0) {
            return -1;
        }
        json_object_set_new(sums, *file, json_string(sum));
    }
    _cleanup_json_ json_t *manifest = json_pack("{ss sI ss sO* sO}", "name", name, "created", (json_int_t)time(NULL),
                                                "cluster", run->facts->cluster.id, "kubernetes",
                                                json_object_get(run->facts->versions, "kubernetes"), "sha256", sums);
    _cleanup_free_ char *text = json_dumps(manifest, JSON_INDENT(2));
    return file_put_private(BACKUP_UNFINISHED "/manifest.json", text, err);
}

/* Keys and kubeconfigs have some kilobytes each; what stays free keeps the kubelet from evicting pods (10 % is its
 * default) and etcd from running out of space. */
enum { KEYS_MIB = 16, SPARE_MIB = 1024, SPARE_PART = 10 };

static int check_room(struct error **err)
{
    struct stat db;
    struct statvfs fs;
    if (stat(ETCD_DATABASE, &db) < 0) {
        return error_errno(err, STATUS_BACKUP, errno, "etcd's database %s cannot be read", ETCD_DATABASE);
    }
    if (statvfs(BACKUP_DIRECTORY, &fs) < 0) {
        return error_errno(err, STATUS_BACKUP, errno, "the free space of %s cannot be read", BACKUP_DIRECTORY);
    }
    unsigned long long part = (unsigned long long)fs.f_blocks * fs.f_frsize / SPARE_PART >> 20;
    unsigned long long spare = part < SPARE_MIB ? part : SPARE_MIB;
    unsigned long long needed = ((unsigned long long)db.st_size >> 20) + KEYS_MIB + spare;
    unsigned long long available = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
    return available >= needed
               ? 0
               : error_new(err, STATUS_BACKUP,
                           "/data has %llu MiB free, a backup needs %llu MiB of which %llu MiB stay free for etcd and "
                           "pods: delete old backups with `k8s-master delete_snapshot`, run `k8s-master prune-images`, "
                           "or enlarge the volume",
                           available, needed, spare);
}

static int fill_backup(struct run *run, const char *name, struct error **err)
{
    /* What tar and etcdctl write is private from its first byte on. */
    mode_t mask = umask(077);
    bool filled = dir_make(BACKUP_UNFINISHED, 0700, err) == 0 &&
                  save_etcd(run, BACKUP_UNFINISHED "/etcd.db", err) == 0 &&
                  save_kubernetes(run, BACKUP_UNFINISHED "/kubernetes.tar", err) == 0 &&
                  write_manifest(run, name, err) == 0 && tree_sync(BACKUP_UNFINISHED, err) == 0;
    (void)umask(mask);
    return filled ? 0 : -1;
}

/* Made under a name that no list shows, and renamed when it is complete and on the disk. What a failed one wrote is
 * removed at once: it would take the space that etcd needs. */
static int make_backup(struct run *run, const char *name, struct error **err)
{
    _cleanup_free_ char *final = backup_path(name, "");
    final[strlen(final) - 1] = '\0';
    if (dir_make(BACKUP_DIRECTORY, 0700, err) < 0 || backup_remove(name, err) < 0 || check_room(err) < 0) {
        return -1;
    }
    if (fill_backup(run, name, err) < 0) {
        (void)tree_remove(BACKUP_UNFINISHED, NULL);
        return -1;
    }
    if (rename(BACKUP_UNFINISHED, final) < 0) {
        (void)error_errno(err, STATUS_BACKUP, errno, "cannot rename the finished backup to %s", final);
        (void)tree_remove(BACKUP_UNFINISHED, NULL);
        return -1;
    }
    return tree_sync(BACKUP_DIRECTORY, err);
}

/* The newest replaces old ones; one that was made long ago and is requested again does not. */
static int remove_old(const struct backup_request *request, struct error **err)
{
    _cleanup_strv_ char **names = backup_list();
    size_t count = strv_length(names);
    bool newest = count > 0 && strcmp(names[count - 1], request->name) == 0;
    long extra = !newest || request->keep == 0 ? 0 : (long)count - request->keep;
    for (long i = 0; i < extra; i++) {
        log_info("backup %s is older than the %ld that are kept", names[i], request->keep);
        if (backup_remove(names[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static char *name_of_now(void)
{
    return time_text(time(NULL), TIME_COMPACT);
}

/* A finished backup is never overwritten. */
static int already_there(const char *name, struct error **err)
{
    _cleanup_json_ json_t *manifest = NULL;
    _cleanup_free_ char *path = backup_path(name, "manifest.json");
    if (access(path, F_OK) < 0) {
        return 0;
    }
    if (backup_verify(name, &manifest, err) < 0) {
        return error_wrap(err, "a backup of that name exists; delete it with `k8s-master delete_snapshot` first");
    }
    log_info("backup %s exists already", name);
    return 1;
}

/* What --dry-run prints: the backup, and those that it would delete. */
static int preview(const struct backup_request *request, struct error **err)
{
    _cleanup_strv_ char **names = backup_list();
    long extra = request->keep == 0 ? 0 : (long)strv_length(names) + 1 - request->keep;
    if (access(BACKUP_DIRECTORY, F_OK) == 0 && check_room(err) < 0) {
        return -1;
    }
    printf("would make backup %s\n", request->name);
    for (long i = 0; i < extra && names[i] != NULL; i++) {
        printf("would delete backup %s\n", names[i]);
    }
    return 0;
}

/* One that is there may be of an event that was killed before the old ones were deleted. */
static int complete(struct run *run, const struct backup_request *request, bool there, struct error **err)
{
    if (backup_remove_leftovers(err) < 0 || (!there && make_backup(run, request->name, err) < 0) ||
        remove_old(request, err) < 0) {
        return -1;
    }
    puts(request->name);
    return 0;
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
    int there = already_there(request.name, err);
    if (there < 0) {
        return -1;
    }
    if (run->dry_run) {
        return there > 0 ? 0 : preview(&request, err);
    }
    return complete(run, &request, there > 0, err);
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
    if (run->dry_run) {
        _cleanup_free_ char *path = backup_path(request.name, "");
        bool there = access(path, F_OK) == 0;
        printf(there ? "would delete backup %s\n" : "there is no backup %s\n", request.name);
        return 0;
    }
    return backup_remove(request.name, err);
}
