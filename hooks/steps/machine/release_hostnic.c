#include <dirent.h>
#include <string.h>

#include "app/cloud/cloud_hostnic.h"
#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cluster/leaving.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

enum { LIMIT_S = 60 };

static int release_nics(struct run *run, struct cloud *cloud, char *const *instances, struct error **err)
{
    size_t count = 0;
    if (cloud_release_nics(cloud, run->facts, instances, run_deadline(run, LIMIT_S), &count, err) < 0) {
        return -1;
    }
    if (count > 0) {
        log_info("%zu network cards of hostnic deleted in the cloud", count);
    }
    return 0;
}

static int release_vxnets(struct run *run, struct cloud *cloud, struct error **err)
{
    size_t count = 0;
    if (cloud_release_vxnets(cloud, run->facts, run_deadline(run, LIMIT_S), &count, err) < 0) {
        return -1;
    }
    if (count > 0) {
        log_info("%zu addresses of the pod vxnets released in the cloud", count);
    }
    return 0;
}

/* What stays in the cloud takes addresses, but keeps no cluster from starting, no node from leaving and no cluster from
 * being deleted. 1: something is left, and the warning names it. */
static int left(char *const *instances, const char *more, struct error **why, struct error **err)
{
    _cleanup_buffer_ struct buffer names = {0};
    if ((*why)->status == STATUS_INTERRUPTED) {
        return error_move(err, why);
    }
    for (; *instances != NULL; instances++) {
        buffer_printf(&names, " hostnic_%s", *instances);
    }
    log_warning("left in the cloud, delete by hand what is there: network cards named%s%s: %s", names.data, more,
                (*why)->message);
    return 1;
}

static int release(struct run *run, char *const *instances, bool vxnets, struct error **err)
{
    const struct cloud_account account = cloud_account_of(run->facts);
    _cleanup_(cloud_freep) struct cloud *cloud = NULL;
    _cleanup_error_ struct error *why = NULL;
    if (*instances == NULL) {
        return 0;
    }
    if (cloud_open(&cloud, &account, &why) < 0 || release_nics(run, cloud, instances, &why) < 0 ||
        (vxnets && release_vxnets(run, cloud, &why) < 0)) {
        return left(instances, vxnets ? ", VIPs and firewall rules named hostnic_ and a pod vxnet" : "", &why, err);
    }
    return 0;
}

static bool wanted(const struct run *run)
{
    return *run->root == '\0' && run->facts->network == NETWORK_HOSTNIC;
}

/* hostnic's records lie in a directory named after the instance: those of others are of machines this one replaced. */
static char **former_instances(const struct run *run)
{
    char **former = xcalloc(1, sizeof *former);
    _cleanup_free_ char *path = run_path(run, DATA_HOSTNIC);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (str_starts(entry->d_name, "i-") && strcmp(entry->d_name, run->facts->self->instance_id) != 0) {
            strv_push(&former, entry->d_name);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return former;
}

static int former_done(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_strv_ char **former = wanted(run) ? former_instances(run) : NULL;
    return former == NULL || *former == NULL;
}

static int former_apply(struct run *run, struct error **err)
{
    _cleanup_strv_ char **former = wanted(run) ? former_instances(run) : NULL;
    int r = former == NULL ? 1 : release(run, former, false, err);
    for (char **instance = former; r == 0 && *instance != NULL; instance++) {
        _cleanup_free_ char *directory = path_join(DATA_HOSTNIC, *instance);
        _cleanup_free_ char *path = run_path(run, directory);
        r = tree_remove(path, err);
    }
    return r < 0 ? -1 : 0;
}

const struct step step_release_former_nics = {"release network cards of former machines", former_done, former_apply,
                                              NULL};

/* After drain: their pods are gone, but for those of DaemonSets. */
static int leaving_apply(struct run *run, struct error **err)
{
    _cleanup_strv_ char **instances = xcalloc(1, sizeof *instances);
    for (size_t i = 0; i < run->facts->n_hosts; i++) {
        if (wanted(run) && host_leaves(&run->facts->hosts[i])) {
            strv_push(&instances, run->facts->hosts[i].instance_id);
        }
    }
    return release(run, instances, false, err) < 0 ? -1 : 0;
}

const struct step step_release_leaving_nics = {"release network cards of leaving nodes", NULL, leaving_apply, NULL};

/* The master is deleted with its cluster only. */
static int cluster_apply(struct run *run, struct error **err)
{
    _cleanup_strv_ char **instances = xcalloc(1, sizeof *instances);
    for (size_t i = 0; i < run->facts->n_hosts; i++) {
        if (wanted(run) && run->facts->hosts[i].is->node) {
            strv_push(&instances, run->facts->hosts[i].instance_id);
        }
    }
    return release(run, instances, true, err) < 0 ? -1 : 0;
}

const struct step step_release_hostnic = {"release what hostnic has in the cloud", NULL, cluster_apply, NULL};
