#include "hooks/files/backups.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/paths.h"
#include "lib/core/json.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

enum { KEPT_BY_DEFAULT = 7, NAME_LIMIT = 64 };

static bool name_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return *name != '\0' && *name != '.' && strlen(name) <= NAME_LIMIT && strspn(name, allowed) == strlen(name);
}

int backup_request_parse(const char *argument, struct backup_request *request, struct error **err)
{
    json_error_t where;
    *request = (struct backup_request){.keep = KEPT_BY_DEFAULT};
    if (str_empty(argument)) {
        return 0;
    }
    _cleanup_json_ json_t *object = json_loads(argument, 0, &where);
    if (!json_is_object(object)) {
        return error_new(err, STATUS_USAGE, "the argument \"%s\" is not a JSON object: %s", argument, where.text);
    }
    const char *name = json_text(object, "snapshot_id");
    name = name != NULL ? name : json_text(object, "name");
    const json_t *keep = json_object_get(object, "keep");
    if (name != NULL && !name_valid(name)) {
        return error_new(err, STATUS_USAGE,
                         "backup name \"%s\": letters, digits, \".\", \"_\", \"-\", at most %d, are accepted", name,
                         NAME_LIMIT);
    }
    /* AppCenter hands every value over as a string. */
    if (keep != NULL && !json_is_integer(keep) && !str_number(json_string_value(keep), 0, 1000, &request->keep)) {
        return error_new(err, STATUS_USAGE, "keep: a number from 0 (all) to 1000 is accepted");
    }
    request->keep = json_is_integer(keep) ? (long)json_integer_value(keep) : request->keep;
    request->name = xstrdup(name);
    return 0;
}

void backup_request_clear(struct backup_request *request)
{
    free(request->name);
}

const char *const backup_files[] = {"etcd.db", "kubernetes.tar", NULL};

char *backup_path(const char *name, const char *file)
{
    return xasprintf(BACKUP_DIRECTORY "/%s/%s", name, file);
}

int backup_manifest(const char *name, json_t **manifest, struct error **err)
{
    _cleanup_free_ char *path = backup_path(name, "manifest.json");
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    if (file_read(path, 0, &text, &len, NULL) < 0) {
        return error_errno(err, STATUS_BACKUP, errno, "there is no finished backup \"%s\": %s", name, path);
    }
    _cleanup_json_ json_t *read = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(read)) {
        return error_new(err, STATUS_BACKUP, "%s does not hold a JSON object: this backup cannot be used", path);
    }
    *manifest = STEAL(read);
    return 0;
}

/* A hash for each file, as text; nothing else is a backup. */
static int verify_file(const char *name, const json_t *sums, const char *file, struct error **err)
{
    _cleanup_free_ char *path = backup_path(name, file);
    _cleanup_free_ char *found = NULL;
    const char *expected = json_text(sums, file);
    if (expected == NULL) {
        return error_new(err, STATUS_BACKUP,
                         "the manifest of backup \"%s\" has no SHA-256 of %s: this backup cannot be used", name, file);
    }
    if (sha256_file(path, &found, err) < 0) {
        return error_wrap(err, "backup \"%s\" cannot be used", name);
    }
    return strcmp(found, expected) == 0
               ? 0
               : error_new(err, STATUS_BACKUP, "%s has SHA-256 %s, expected %s: this backup cannot be used", path,
                           found, expected);
}

int backup_verify(const char *name, json_t **manifest, struct error **err)
{
    _cleanup_json_ json_t *read = NULL;
    if (backup_manifest(name, &read, err) < 0) {
        return -1;
    }
    for (const char *const *file = backup_files; *file != NULL; file++) {
        if (verify_file(name, json_object_get(read, "sha256"), *file, err) < 0) {
            return -1;
        }
    }
    *manifest = STEAL(read);
    return 0;
}

struct listed {
    char *name;
    json_int_t created;
};

static int by_age(const void *a, const void *b)
{
    const struct listed *x = a;
    const struct listed *y = b;
    return x->created < y->created ? -1 : x->created > y->created ? 1 : strcmp(x->name, y->name);
}

char **backup_list(void)
{
    struct listed *found = NULL;
    size_t count = 0;
    char **names = xcalloc(1, sizeof *names);
    DIR *directory = opendir(BACKUP_DIRECTORY);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        _cleanup_json_ json_t *manifest = NULL;
        if (name_valid(entry->d_name) && backup_manifest(entry->d_name, &manifest, NULL) == 0) {
            found = xrealloc(found, (count + 1) * sizeof *found);
            found[count++] =
                (struct listed){xstrdup(entry->d_name), json_integer_value(json_object_get(manifest, "created"))};
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    if (count > 0) {
        qsort(found, count, sizeof *found, by_age);
    }
    for (size_t i = 0; i < count; i++) {
        strv_push(&names, found[i].name);
        free(found[i].name);
    }
    free(found);
    return names;
}

int backup_remove(const char *name, struct error **err)
{
    _cleanup_free_ char *path = xasprintf(BACKUP_DIRECTORY "/%s", name);
    if (tree_remove(BACKUP_REMOVED, err) < 0) {
        return -1;
    }
    if (rename(path, BACKUP_REMOVED) < 0) {
        return errno == ENOENT ? 0 : error_errno(err, STATUS_BACKUP, errno, "cannot rename %s to delete it", path);
    }
    /* No file of it is lost before its name is, should the power be cut. */
    return tree_sync(BACKUP_DIRECTORY, err) < 0 ? -1 : tree_remove(BACKUP_REMOVED, err);
}

int backup_remove_leftovers(struct error **err)
{
    return tree_remove(BACKUP_UNFINISHED, err) < 0 ? -1 : tree_remove(BACKUP_REMOVED, err);
}
