#include <errno.h>
#include <mntent.h>
#include <string.h>
#include <sys/mount.h>

#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

/* Where a kubelet has a CSI driver mount a volume, once a machine and once a pod, and where it mounts folders of
 * volumes a second time, for a container's subPath (pkg/volume/csi and pkg/volume/util/subpath of Kubernetes). */
static bool of_volume(const char *directory)
{
    static const char *const in_pod[] = {"/volumes/kubernetes.io~csi/", "/volume-subpaths/"};
    const char *pod = strstr(directory, "/kubelet/pods/");
    return strstr(directory, "/kubelet/plugins/kubernetes.io/csi/") != NULL ||
           (pod != NULL && (strstr(pod, in_pod[0]) != NULL || strstr(pod, in_pod[1]) != NULL));
}

/* In the order of mounting: the last is unmounted first. */
static int list_volumes(char ***directories, struct error **err)
{
    char text[8192];
    struct mntent entry;
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    if (mounts == NULL) {
        return error_errno(err, STATUS_FILE, errno, "cannot read /proc/self/mounts");
    }
    while (getmntent_r(mounts, &entry, text, sizeof text) != NULL) {
        if (of_volume(entry.mnt_dir)) {
            strv_push(directories, entry.mnt_dir);
        }
    }
    (void)endmntent(mounts);
    return 0;
}

static int volumes_unmounted(struct run *run, struct error **err)
{
    (void)run;
    _cleanup_strv_ char **directories = NULL;
    return list_volumes(&directories, err) < 0 ? -1 : directories == NULL;
}

/* What is in use still is taken out of the tree, and written to the volume once nothing uses it: better than a machine
 * that does not stop. */
static int volumes_unmount_apply(struct run *run, struct error **err)
{
    (void)run;
    _cleanup_strv_ char **directories = NULL;
    if (list_volumes(&directories, err) < 0) {
        return -1;
    }
    for (size_t i = directories == NULL ? 0 : strv_length(directories); i > 0; i--) {
        const char *directory = directories[i - 1];
        /* EINVAL: gone with another, of which it was the same mount at a second place */
        if (umount2(directory, UMOUNT_NOFOLLOW) == 0 || errno == EINVAL) {
            continue;
        }
        log_warning("%s cannot be unmounted: %s", directory, strerrordesc_np(errno));
        (void)umount2(directory, UMOUNT_NOFOLLOW | MNT_DETACH);
    }
    return 0;
}

const struct step step_unmount_volumes = {"unmount volumes", volumes_unmounted, volumes_unmount_apply, NULL};
