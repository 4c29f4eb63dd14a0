#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#include "bake/bake.h"
#include "lib/system/proc.h"

/* What differs from host to host, grows by itself or identifies the machine the image was made on. */
static const char *const removed[] = {
    "/etc/hostname",
    "/etc/ssh/ssh_host_*",
    "/etc/docker/key.json",
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/systemd/timesync/clock",
    "/var/lib/systemd/catalog/database",
    "/var/lib/apt/lists/*",
    "/var/lib/apt/periodic/*",
    "/var/lib/cloud/*",
    "/var/lib/dhcp/*",
    "/var/lib/dpkg/*-old",
    "/var/cache/apt/*.bin",
    "/var/cache/apt/archives/*.deb",
    "/var/cache/apt/archives/partial/*",
    "/var/cache/debconf/*-old",
    "/var/cache/ldconfig/aux-cache",
    "/var/backups/*",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
    "/root/.*_history",
    "/root/.cache",
    "/root/.docker",
    "/root/.lesshst",
    "/root/.viminfo",
    "/root/.wget-hsts",
    "/root/.ssh/authorized_keys",
    "/root/.ssh/known_hosts",
    "/root/.ssh/id_*",
    "/home/*/.*_history",
    "/home/*/.ssh/authorized_keys",
};

/* Not while the system that is cleaned runs from them. */
static const char *const removed_at_rest[] = {"/run/*", "/run/.*", "/tmp/*", "/tmp/.*", "/var/tmp/*", "/var/tmp/.*"};

static int remove_matches(const struct root *root, const char *dir, const char *pattern, struct error **err);

static int remove_match(const struct root *root, const char *dir, const char *name, const char *rest,
                        struct error **err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
    return rest == NULL ? root_remove_tree(root, path, err) : remove_matches(root, path, rest, err);
}

/* PATTERN, without its leading slash, below DIR ("" for the top). */
static int remove_matches(const struct root *root, const char *dir, const char *pattern, struct error **err)
{
    const char *slash = strchr(pattern, '/');
    _cleanup_free_ char *part = xstrndup(pattern, slash == NULL ? strlen(pattern) : (size_t)(slash - pattern));
    const char *rest = slash == NULL ? NULL : slash + 1;
    if (strpbrk(part, "*?[") == NULL) {
        return remove_match(root, dir, part, rest, err);
    }
    int fd = root_openat(root, dir[0] == '\0' ? "/" : dir, O_RDONLY | O_DIRECTORY);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        util_closep(&fd);
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : error_errno(err, STATUS_FILE, errno, "%s: cannot read the directory %s", root->path, dir);
    }
    int result = 0;
    for (const struct dirent *entry = readdir(stream); entry != NULL && result == 0; entry = readdir(stream)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            fnmatch(part, entry->d_name, FNM_PERIOD) == 0) {
            result = remove_match(root, dir, entry->d_name, rest, err);
        }
    }
    closedir(stream);
    return result;
}

/* Directories stay: services expect theirs with their owners. */
static int remove_files(const struct root *root, const char *dir, struct error **err)
{
    int fd = root_openat(root, dir, O_RDONLY | O_DIRECTORY);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        util_closep(&fd);
        return 0;
    }
    int result = 0;
    for (const struct dirent *entry = readdir(stream); entry != NULL && result == 0; entry = readdir(stream)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        _cleanup_free_ char *path = xasprintf("%s/%s", dir, entry->d_name);
        result = entry->d_type == DT_DIR ? remove_files(root, path, err) : root_remove(root, path, err);
    }
    closedir(stream);
    return result;
}

/* Empty, not absent: systemd then makes one at each boot from nothing (machine-id(5)). */
static int empty_machine_id(const struct root *root, struct error **err)
{
    _cleanup_place_ struct place place = {.root = root};
    struct stat st;
    if (root_exists(root, "/etc/machine-id", &st) && st.st_size == 0 && (st.st_mode & 07777) == 0444) {
        return 0;
    }
    return place_data(&place, "/etc/machine-id", 0444, "", 0, err) < 0 ? -1 : place_commit(&place, err);
}

/* Settings below /run are gone with the machine's power: until then journald keeps nothing on the disk, and shutting
 * down saves no random seed, so that what is captured is what was cleaned. */
static int quieten(const struct root *root, struct error **err)
{
    static const char *const settings[][2] = {
        {"/run/systemd/journald.conf.d/k8s-bake.conf", "[Journal]\nStorage=volatile\n"},
        {"/run/systemd/system/systemd-random-seed.service.d/k8s-bake.conf", "[Service]\nExecStop=\n"},
    };
    _cleanup_place_ struct place place = {.root = root};
    struct deadline deadline = deadline_in(60000);
    if (!root_exists(root, "/run/systemd/system", NULL)) {
        return 0; /* systemd does not run */
    }
    for (size_t i = 0; i < ELEMENTS(settings); i++) {
        if (place_data(&place, settings[i][0], 0644, settings[i][1], strlen(settings[i][1]), err) < 0) {
            return -1;
        }
    }
    if (place_commit(&place, err) < 0 || proc_exec(deadline, err, "systemctl", "daemon-reload", NULL) < 0) {
        return -1;
    }
    return proc_exec(deadline, err, "systemctl", "restart", "systemd-journald.service", NULL);
}

int clean_root(const struct bake *bake, struct error **err)
{
    const struct root *root = &bake->root;
    if (bake->options->in_place && quieten(root, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ELEMENTS(removed); i++) {
        if (remove_matches(root, "", removed[i] + 1, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < ELEMENTS(removed_at_rest) && !bake->options->in_place; i++) {
        if (remove_matches(root, "", removed_at_rest[i] + 1, err) < 0) {
            return -1;
        }
    }
    for (char **pattern = bake->conf->clean.values; *pattern != NULL; pattern++) {
        if (remove_matches(root, "", *pattern + strspn(*pattern, "/"), err) < 0) {
            return error_wrap(err, "%s: clean", bake->conf->clean.where);
        }
    }
    return remove_files(root, "/var/log", err) < 0 ? -1 : empty_machine_id(root, err);
}
