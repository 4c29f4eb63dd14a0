#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/files/pod_network.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

#define PLUGINS "/opt/cni/bin"
#define PLUGIN PLUGINS "/hostnic"
#define CONTAINER "k8s-hooks-hostnic"

/* An empty one is what a power cut left of a file that was not on the disk yet. */
static bool executable(const struct run *run, const char *path)
{
    _cleanup_free_ char *full = run_path(run, path);
    struct stat st;
    return stat(full, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && access(full, X_OK) == 0;
}

static char *records(const struct run *run)
{
    return path_join(DATA_HOSTNIC, run->facts->self->instance_id);
}

static int host_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_free_ char *link = run_path(run, HOSTNIC_DIRECTORY);
    _cleanup_free_ char *target = records(run);
    return run->facts->network != NETWORK_HOSTNIC || (executable(run, PLUGIN) && executable(run, PLUGINS "/loopback") &&
                                                      link_is(link, target) && !pod_network_lacks_eth0(run));
}

static void remove_container(struct run *run)
{
    (void)proc_exec(run_deadline(run, 60), NULL, "docker", "rm", "--force", CONTAINER, NULL);
}

/* Out of the release's own image, so that the plugin is always of the version that runs beside it. */
static int take_plugin(struct run *run, const char *image, struct error **err)
{
    struct deadline deadline = run_deadline(run, 300);
    _cleanup_free_ char *beside = run_path(run, PLUGINS "/.hostnic");
    _cleanup_free_ char *plugin = run_path(run, PLUGIN);
    remove_container(run); /* of an event that was killed here */
    if (proc_exec(deadline, err, "docker", "create", "--name", CONTAINER, "--network=none", image, NULL) < 0) {
        return error_wrap(err, "taking the CNI plugin out of %s", image);
    }
    int r = proc_exec(deadline, err, "docker", "cp", CONTAINER ":/app/hostnic", beside, NULL);
    if (r == 0) {
        r = file_replace(plugin, beside, 0755, err);
    }
    remove_container(run);
    return r;
}

static int host_apply(struct run *run, struct error **err)
{
    const char *image = json_text_at(run->facts->versions, "images", "hostnic", NULL);
    _cleanup_free_ char *plugins = run_path(run, PLUGINS);
    _cleanup_free_ char *loopback = run_path(run, PLUGINS "/loopback");
    _cleanup_free_ char *target = records(run);
    _cleanup_free_ char *kept = run_path(run, target);
    _cleanup_free_ char *link = run_path(run, HOSTNIC_DIRECTORY);
    if (run->facts->network != NETWORK_HOSTNIC) {
        return 0;
    }
    if (pod_network_lacks_eth0(run)) {
        return error_new(
            err, STATUS_FILE,
            "there is no interface eth0, which hostnic takes for the machine's own card: " POD_NETWORK_ETH0_REMEDY);
    }
    if (dir_make(plugins, 0755, err) < 0 || dir_make(kept, 0700, err) < 0 || link_make(target, link, NULL, err) < 0) {
        return -1;
    }
    if (!executable(run, PLUGINS "/loopback") && link_make("/usr/lib/cni/loopback", loopback, NULL, err) < 0) {
        return -1;
    }
    if (executable(run, PLUGIN)) {
        return 0;
    }
    if (image == NULL) {
        return error_new(err, STATUS_FILE, "versions.json names no image \"hostnic\": bake the machine image with it");
    }
    return take_plugin(run, image, err);
}

const struct step step_install_hostnic = {"install hostnic", host_done, host_apply, NULL};
