/* Backups on /data: etcd's snapshot and what makes the cluster itself (CAs, keys, token).
 *
 * /data/backup/NAME/ holds etcd.db, kubernetes.tar and manifest.json, which has the SHA-256 of the other two; a backup
 * without a manifest was never finished. .making/ holds the one that is being made, .removing/ the one that is being
 * deleted, or what a killed event left of them. */
#ifndef HOOKS_FILES_BACKUPS_H
#define HOOKS_FILES_BACKUPS_H

#include <jansson.h>

#include "app/paths.h"
#include "app/status.h"
#include "lib/core/error.h"
#include "lib/core/util.h"

#define BACKUP_UNFINISHED BACKUP_DIRECTORY "/.making"
#define BACKUP_REMOVED BACKUP_DIRECTORY "/.removing"

/* What a backup consists of beside its manifest; NULL-terminated. */
extern const char *const backup_files[];

struct backup_request {
    char *name; /* "snapshot_id" or "name"; NULL: none given */
    long keep;  /* "keep": how many stay, the newest; 0: all */
};

/* Reads the JSON argument of backup, restore and delete_snapshot (NULL: none). A name is of letters, digits, ".", "_",
 * "-" and does not start with "."; STATUS_USAGE otherwise. */
int backup_request_parse(const char *argument, struct backup_request *request, struct error **err);
void backup_request_clear(struct backup_request *request);

/* Names of the finished backups, the oldest first. The caller frees with strv_free. */
char **backup_list(void);

/* The manifest of NAME, a new reference; STATUS_BACKUP when there is none. */
int backup_manifest(const char *name, json_t **manifest, struct error **err);

/* Reads the manifest of NAME and verifies the SHA-256 of each of backup_files, which it must have. STATUS_BACKUP names
 * the file, what was expected and what was found. *manifest is a new reference. */
int backup_verify(const char *name, json_t **manifest, struct error **err);

/* Deletes NAME, finished or not; absent is fine. Interrupted, it leaves either all of it or a part of BACKUP_REMOVED.
 */
int backup_remove(const char *name, struct error **err);

/* Deletes what a killed event left under BACKUP_UNFINISHED and BACKUP_REMOVED. For who holds the lock. */
int backup_remove_leftovers(struct error **err);

/* FILE of backup NAME. The caller frees. */
char *backup_path(const char *name, const char *file);

#endif
