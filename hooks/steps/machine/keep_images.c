#include <sys/statvfs.h>

#include "hooks/clients/docker_unused.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

/* Where the kubelet would collect too by default (imageGCHighThresholdPercent), and well before it evicts pods. */
enum { HIGH_PERCENT = 85 };

/* How full Docker's disk is, in percent; 0 when that cannot be told. */
static unsigned used_percent(const struct run *run)
{
    struct statvfs fs;
    _cleanup_free_ char *path = run_path(run, "/data/var/lib/docker");
    if (statvfs(path, &fs) != 0 || fs.f_blocks == 0) {
        return 0;
    }
    return (unsigned)(100 - fs.f_bavail * 100 / fs.f_blocks);
}

static int docker_runs(struct run *run, struct error **err)
{
    return run_units(run, err) < 0 ? -1 : unit_active(run->units, "docker.service", err);
}

static int keep_images_done(struct run *run, struct error **err)
{
    int running = docker_runs(run, err);
    if (running <= 0) {
        return running < 0 ? -1 : 1;
    }
    return used_percent(run) > HIGH_PERCENT ? 0 : step_load_images.done(run, err);
}

/* Nothing is loaded on a full disk: the kubelet would delete it again. */
static int keep_images_apply(struct run *run, struct error **err)
{
    size_t removed = 0;
    unsigned used = used_percent(run);
    if (used > HIGH_PERCENT) {
        if (docker_remove_unused(json_object_get(run->facts->versions, "images"), 0, run->deadline, &removed, err) <
            0) {
            return -1;
        }
        log_notice("Docker's disk was %u %% full: %zu unused images removed, now %u %%", used, removed,
                   used_percent(run));
    }
    return used_percent(run) > HIGH_PERCENT ? 0 : step_load_images.apply(run, err);
}

const struct step step_keep_images = {"keep the machine's images", keep_images_done, keep_images_apply, NULL};
