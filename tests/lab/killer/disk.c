#include "tests/lab/killer/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/file.h"

static char *escaped(const char *text)
{
    struct buffer b = {0};
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || *text == '%') {
            buffer_printf(&b, "%%%02X", (unsigned char)*text);
        } else {
            buffer_append(&b, text, 1);
        }
    }
    return b.data == NULL ? xstrdup("") : b.data;
}

static int copy(const char *from, const char *to, struct error **err)
{
    struct stat st;
    _cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || fstat(in, &st) < 0) {
        return error_errno(err, STATUS_FILE, errno, "copying %s to %s", from, to);
    }
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(out, in, NULL, (size_t)left);
        if (n <= 0) {
            return error_errno(err, STATUS_FILE, n < 0 ? errno : EIO, "copying %s to %s", from, to);
        }
        left -= n;
    }
    return 0;
}

static void write_entry(FILE *index, const char *directory, const char *name)
{
    struct stat st;
    _cleanup_free_ char *path = path_join(directory, name);
    if (lstat(path, &st) < 0) {
        return;
    }
    _cleanup_free_ char *shown = escaped(name);
    _cleanup_free_ char *target = S_ISLNK(st.st_mode) ? link_read(path) : NULL;
    _cleanup_free_ char *shown_target = escaped(target == NULL ? "-" : target);
    char type = S_ISDIR(st.st_mode) ? 'd' : S_ISLNK(st.st_mode) ? 'l' : S_ISCHR(st.st_mode) ? 'w' : 'f';
    (void)fprintf(index, "entry %s %c %lu %o %u %u %s\n", shown, type, (unsigned long)st.st_ino, st.st_mode & 07777,
                  st.st_uid, st.st_gid, shown_target);
}

static int sync_one(struct disk *disk, FILE *index, const char *full, const char *path, struct error **err)
{
    struct stat st;
    if (lstat(full, &st) < 0) {
        return 0;
    }
    if (S_ISREG(st.st_mode)) {
        _cleanup_free_ char *content = xasprintf("%s/%ld", disk->directory, ++disk->sequence);
        (void)fprintf(index, "file %lu %o %u %u %ld\n", (unsigned long)st.st_ino, st.st_mode & 07777, st.st_uid,
                      st.st_gid, disk->sequence);
        return copy(full, content, err);
    }
    DIR *directory = S_ISDIR(st.st_mode) ? opendir(full) : NULL;
    if (directory == NULL) {
        return 0;
    }
    _cleanup_free_ char *shown = escaped(*path == '\0' ? "/" : path);
    (void)fprintf(index, "dir %lu %s\n", (unsigned long)st.st_ino, shown);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            write_entry(index, full, entry->d_name);
        }
    }
    (void)closedir(directory);
    return 0;
}

static int sync_tree(struct disk *disk, FILE *index, const char *full, const char *path, struct error **err)
{
    if (sync_one(disk, index, full, path, err) < 0) {
        return -1;
    }
    struct stat st;
    DIR *directory = lstat(full, &st) == 0 && S_ISDIR(st.st_mode) ? opendir(full) : NULL;
    int result = 0;
    for (struct dirent *entry; directory != NULL && result == 0 && (entry = readdir(directory)) != NULL;) {
        _cleanup_free_ char *below = path_join(full, entry->d_name);
        _cleanup_free_ char *below_path = xasprintf("%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = sync_tree(disk, index, below, below_path, err);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return result;
}

static FILE *open_index(const struct disk *disk, struct error **err)
{
    _cleanup_free_ char *path = path_join(disk->directory, "index");
    FILE *index = fopen(path, "ae");
    if (index == NULL) {
        (void)error_errno(err, STATUS_FILE, errno, "cannot write %s", path);
    }
    return index;
}

int disk_sync(struct disk *disk, const char *path, struct error **err)
{
    FILE *index = open_index(disk, err);
    if (index == NULL) {
        return -1;
    }
    _cleanup_free_ char *full = path_join(disk->upper, path);
    int result = sync_one(disk, index, full, path, err);
    (void)fclose(index);
    return result;
}

int disk_sync_all(struct disk *disk, struct error **err)
{
    FILE *index = open_index(disk, err);
    if (index == NULL) {
        return -1;
    }
    int result = sync_tree(disk, index, disk->upper, "", err);
    (void)fclose(index);
    return result;
}
