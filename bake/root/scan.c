#include "bake/root/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#include "bake/root/place.h"

/* Files whose mere presence is a find, and those that may be there empty. */
static const struct rule {
    const char *pattern; /* fnmatch(3): "*" takes slashes too */
    const char *what;
    bool empty_is_fine;
} rules[] = {
    {"/etc/machine-id", "identity of one machine", true},
    {"/var/lib/dbus/machine-id", "identity of one machine", true},
    {"/etc/hostname", "name of one machine", false},
    {"/etc/ssh/ssh_host_*", "host key", false},
    {"/var/lib/systemd/random-seed", "random seed", false},
    {"/var/lib/systemd/credential.secret", "secret of one machine", false},
    {"/etc/docker/key.json", "key of one Docker daemon", false},
    {"/var/log/*", "log", true},
    {"/var/lib/apt/lists/*", "list of apt", true},
    {"/var/cache/apt/archives/*.deb", "downloaded package", false},
    {"*/.*_history", "shell history", true},
    {"*/.ssh/id_*", "private key", false},
    {"*/.ssh/authorized_keys", "key that opens the machine", true},
    {"*/.docker/config.json", "registry login", false},
    {"*/.dockercfg", "registry login", false},
    {"*/.qingcloud/*", "key of the cloud API", false},
    {"/etc/qingcloud/client.yaml", "key of the cloud API", true},
    {"/etc/kubernetes/*.conf", "kubeconfig", false},
    {"/var/lib/kubelet/pki/*", "kubelet certificate", false},
    {"/var/lib/cloud/instances/*", "data of one cloud instance", false},
    {"*" PLACE_SUFFIX, "leaving of an interrupted bake", false},
};

/* Below these a file that begins as a private key is one of this machine; packages ship theirs for tests in /usr. */
static const char *const searched[] = {"/etc", "/root", "/home", "/opt", "/var/lib", "/srv"};

static const char *const apart[] = {"/proc", "/sys", "/dev", "/run"};

struct scan {
    const struct root *root;
    struct buffer finds;
    size_t n;
};

static void find(struct scan *scan, const char *path, const char *what)
{
    scan->n++;
    if (scan->n <= 50) {
        buffer_printf(&scan->finds, "\n  %s: %s", path, what);
    }
}

static bool below(const char *path, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(list[i]);
        if (strncmp(path, list[i], len) == 0 && (path[len] == '/' || path[len] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool holds_private_key(int dir, const char *name)
{
    char head[4096 + 1];
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof head - 1);
    if (n <= 0) {
        return false;
    }
    const char *begin = memmem(head, (size_t)n, "-----BEGIN ", 11);
    return begin != NULL && memmem(begin, (size_t)(head + n - begin), "PRIVATE KEY-----", 16) != NULL;
}

static void scan_file(struct scan *scan, int dir, const char *name, const char *path, const struct stat *st)
{
    for (size_t i = 0; i < ELEMENTS(rules); i++) {
        if (fnmatch(rules[i].pattern, path, 0) == 0 && !(rules[i].empty_is_fine && st->st_size == 0)) {
            find(scan, path, rules[i].what);
            return;
        }
    }
    if (S_ISREG(st->st_mode) && below(path, searched, ELEMENTS(searched)) && holds_private_key(dir, name)) {
        find(scan, path, "private key");
    }
}

static int scan_dir(struct scan *scan, int fd, const char *path, dev_t device, struct error **err)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        util_closep(&fd);
        return error_errno(err, STATUS_FILE, errno, "cannot read the directory %s", path);
    }
    int result = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL && result == 0; entry = readdir(dir)) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            continue;
        }
        _cleanup_free_ char *here = xasprintf("%s/%s", path, entry->d_name);
        if (!S_ISDIR(st.st_mode)) {
            scan_file(scan, fd, entry->d_name, here, &st);
        } else if (st.st_dev == device && !below(here, apart, ELEMENTS(apart))) {
            int next = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            result = next < 0 ? error_errno(err, STATUS_FILE, errno, "cannot read the directory %s", here)
                              : scan_dir(scan, next, here, device, err);
        }
    }
    closedir(dir);
    return result;
}

/* A second field that is neither empty, locked nor unusable lets somebody in who knows the word. */
static void scan_passwords(struct scan *scan)
{
    _cleanup_free_ char *shadow = root_read(scan->root, "/etc/shadow", NULL);
    char *rest = NULL;
    for (char *line = shadow == NULL ? NULL : strtok_r(shadow, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *field = strchr(line, ':');
        if (field != NULL && field[1] != '*' && field[1] != '!') {
            _cleanup_free_ char *what = xasprintf("%s for %.*s", field[1] == ':' ? "no password at all" : "password",
                                                  (int)(field - line), line);
            find(scan, "/etc/shadow", what);
        }
    }
    if (shadow != NULL) {
        explicit_bzero(shadow, strlen(shadow));
    }
}

int scan_root(const struct root *root, struct error **err)
{
    struct scan scan = {.root = root};
    struct stat st;
    int fd = open(root->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        util_closep(&fd);
        return error_errno(err, STATUS_FILE, errno, "cannot read %s", root->path);
    }
    int result = scan_dir(&scan, fd, "", st.st_dev, err);
    scan_passwords(&scan);
    if (result == 0 && scan.n > 0) {
        result = error_new(err, STATUS_CHECK_REFUSED, "%s holds %zu things an image must not hold:%s", root->path,
                           scan.n, scan.finds.data);
    }
    buffer_free(&scan.finds);
    return result;
}
