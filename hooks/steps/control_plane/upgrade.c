#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/engine/stamp.h"
#include "hooks/steps/control_plane/kubeadm.h"
#include "hooks/steps/control_plane/version_skew.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/proc.h"

/* The new image's container images, and etcd's snapshot beside its data. */
enum { ROOM_MIB = 2048 };

static int data_room_apply(struct run *run, struct error **err)
{
    struct statvfs fs;
    (void)run;
    if (statvfs(DATA, &fs) < 0) {
        return error_errno(err, STATUS_UPGRADE_REFUSED, errno, "cannot read the free space of /data");
    }
    unsigned long long free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
    if (free_mib < ROOM_MIB) {
        return error_new(err, STATUS_UPGRADE_REFUSED,
                         "/data has %llu MiB free, an upgrade needs %d: run prune-images, or resize the volume",
                         free_mib, ROOM_MIB);
    }
    return 0;
}

const struct step step_check_data_room = {"check free space on /data", NULL, data_room_apply, NULL};

/* Before the stop there is an API server to query, after it there is none. */
static int healthy_if_running_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    int active = run_units(run, err) < 0 ? -1 : unit_active(run->units, "kubelet.service", err);
    if (active <= 0) {
        return active;
    }
    if (run_kube(run, err) < 0 || kube_get_text(run->kube, "/readyz", run_deadline(run, 10), &text, NULL, err) < 0) {
        return error_wrap(err, "the cluster is not healthy, so it is not upgraded");
    }
    return 0;
}

const struct step step_check_health = {"check cluster health", NULL, healthy_if_running_apply, NULL};

static int running_version(struct run *run, char **version, struct error **err)
{
    _cleanup_json_ json_t *answer = NULL;
    if (run_kube(run, err) < 0 || kube_get(run->kube, "/version", run_deadline(run, 10), &answer, NULL, err) < 0) {
        return -1;
    }
    const char *text = json_text(answer, "gitVersion");
    *version = xstrdup(text != NULL ? text : "");
    return 0;
}

static int control_plane_upgraded_done(struct run *run, struct error **err)
{
    _cleanup_free_ char *version = NULL;
    return running_version(run, &version, err) < 0 ? -1 : strcmp(version, image_version(run)) == 0;
}

/* The image brings the container images, so kubeadm's own check for pulling them is ignored. Without its stamp, a
 * control plane that was left half way is created again by the next start from the old image. */
static int control_plane_upgraded_apply(struct run *run, struct error **err)
{
    if (control_plane_stamp(run, false, err) < 0) {
        return -1;
    }
    int upgraded =
        proc_exec(run->deadline, err, "kubeadm", "upgrade", "apply", image_version(run), "--yes", "--force", "--config",
                  KUBEADM_CONFIG, "--certificate-renewal=false", "--ignore-preflight-errors=all", NULL);
    return upgraded < 0 ? -1 : control_plane_stamp(run, true, err);
}

const struct step step_upgrade_control_plane = {"upgrade control plane", control_plane_upgraded_done,
                                                control_plane_upgraded_apply, NULL};

static int node_upgraded_apply(struct run *run, struct error **err)
{
    return proc_exec(run->deadline, err, "kubeadm", "upgrade", "node", "--skip-phases=preflight", NULL);
}

const struct step step_upgrade_node = {"upgrade node", NULL, node_upgraded_apply, NULL};
