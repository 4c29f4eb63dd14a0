#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/system/file.h"

struct directory {
    const char *path;
    mode_t mode;
    uid_t owner;
    enum { EVERY, CONTROL_PLANE, LOGS } of;
};

/* Elasticsearch's container runs as uid 1000 (its image's own choice). */
static const struct directory directories[] = {
    {DATA_KUBERNETES, 0755, 0, EVERY},
    {STATE_ON_DATA, 0700, 0, EVERY},
    {"/data/var/lib/docker", 0711, 0, EVERY},
    {"/data/var/lib/kubelet", 0700, 0, EVERY},
    {DATA_KUBERNETES "/audit", 0700, 0, CONTROL_PLANE},
    {DATA_HOSTNIC, 0700, 0, EVERY},
    {DATA_ETCD, 0700, 0, CONTROL_PLANE},
    {DATA_ELASTICSEARCH, 0750, 1000, LOGS},
};

struct data_link {
    const char *target;
    const char *path;
};

static const struct data_link links[] = {
    {DATA_KUBERNETES, KUBERNETES_DIRECTORY},
    {"/data/var/lib/kubelet", "/var/lib/kubelet"},
};

static bool wanted(const struct run *run, const struct directory *directory)
{
    return directory->of == EVERY || (directory->of == CONTROL_PLANE && run->role->control_plane) ||
           (directory->of == LOGS && run->role->logs);
}

static bool directory_there(const struct run *run, const struct directory *directory)
{
    _cleanup_free_ char *path = run_path(run, directory->path);
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 07777) == directory->mode &&
           st.st_uid == directory->owner;
}

static bool link_there(const struct run *run, const struct data_link *link)
{
    _cleanup_free_ char *path = run_path(run, link->path);
    return link_is(path, link->target);
}

static int directories_done(struct run *run, struct error **err)
{
    (void)err;
    bool done = true;
    for (size_t i = 0; i < ELEMENTS(directories); i++) {
        done = done && (!wanted(run, &directories[i]) || directory_there(run, &directories[i]));
    }
    for (size_t i = 0; i < ELEMENTS(links); i++) {
        done = done && link_there(run, &links[i]);
    }
    return done;
}

static int make_directory(const struct run *run, const struct directory *directory, struct error **err)
{
    _cleanup_free_ char *path = run_path(run, directory->path);
    if (dir_make(path, directory->mode, err) < 0) {
        return -1;
    }
    if (directory->owner != 0 && lchown(path, directory->owner, directory->owner) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot give %s to user %u", path, directory->owner);
    }
    return 0;
}

static int directories_apply(struct run *run, struct error **err)
{
    for (size_t i = 0; i < ELEMENTS(directories); i++) {
        if (wanted(run, &directories[i]) && make_directory(run, &directories[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < ELEMENTS(links); i++) {
        _cleanup_free_ char *path = run_path(run, links[i].path);
        if (link_make(links[i].target, path, NULL, err) < 0) {
            return -1;
        }
    }
    return 0;
}

const struct step step_make_directories = {"make directories", directories_done, directories_apply, NULL};
